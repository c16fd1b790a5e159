"""This machine as a compute target."""
