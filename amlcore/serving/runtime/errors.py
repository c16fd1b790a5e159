"""What the service raises: a row that a fast path leaves to the model, a model or keys that it must not serve with."""

from __future__ import annotations


class NotHandled(Exception):  # noqa: N818 - not an error: the model itself is asked
    """Rows that a fast path leaves to the model."""


class ModelFault(Exception):  # noqa: N818 - only the message is read
    """A model that must not be served as it is."""


class KeysFault(Exception):  # noqa: N818 - only the message is read
    """Keys that cannot guard a service."""
