"""The rows of a request."""
