"""The version of amlcore."""

__version__ = "0.1.0"
