"""Rows: what the service has in common with the registration of a model, and how its fast paths leave a row to it."""

from __future__ import annotations

from ..inputs.columns import Column, kind_of
from ..inputs.errors import RequestError, Text, quoted
from ..inputs.signature import Signature

__all__ = ["Column", "NotHandled", "RequestError", "Signature", "Text", "kind_of", "quoted"]


class NotHandled(Exception):  # noqa: N818 - no error: the model itself is asked then
    """Rows that a path leaves to the model."""
