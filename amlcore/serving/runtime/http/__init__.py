"""The HTTP side of a service: requests in, answers out."""
