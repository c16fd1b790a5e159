"""PredictRequest: a body parsed into its rows and the method of the model that it asks for."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from ..inputs.errors import InputError, quoted

FORMS = (
    '{"data": rows}, where rows is a list of lists, of records by column name or of texts, a single row, or an object '
    'of columns by name; "method" is optional'
)
try:
    import orjson
except ImportError:  # it conflicts with the packages of this environment
    orjson = None  # type: ignore[assignment]

LONG_INTEGER = re.compile(rb"[0-9]{19}")
"""Digits that may be an integer beyond 64 bits, which orjson reads as a float."""

REQUEST_KEYS = frozenset(("data", "method"))


class PredictRequest(NamedTuple):
    data: Any
    method: str | None = None
    is_numeric: bool = False
    """Whether the data is known to hold only lists and numbers."""


def read_quickly(body: bytes) -> PredictRequest | None:
    """The request, if it has the plain form; None leaves it to `read`, which explains or reads it."""
    try:
        value = orjson.loads(body) if orjson is not None else json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    if type(value) is not dict or "data" not in value:
        return None
    if len(value) == 1:
        # no string, null, true or false: only `"data"` has quotes, and no number has these letters
        is_numeric = body.count(b'"') == 2 and b"u" not in body and b"l" not in body
        return PredictRequest(value["data"], None, is_numeric)
    method = value.get("method")
    return PredictRequest(value["data"], method) if len(value) == 2 and type(method) is str else None


def exact_data(request: PredictRequest, body: bytes) -> Any:
    """The data of `request` with all the digits of its integers."""
    return read(body).data if LONG_INTEGER.search(body) else request.data


def read(body: bytes) -> PredictRequest:
    """The request, checked.

    Raises
    ------
    InputError
        The body is not JSON, or not of this form.
    """
    try:
        value = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the body is not JSON: {error}", status=400) from None
    if not isinstance(value, dict) or "data" not in value:
        raise InputError(f"the body must be {FORMS}", status=400)
    unknown = sorted(set(value) - REQUEST_KEYS)
    if unknown:
        raise InputError(f"unknown key {quoted(unknown[0])}: the body must be {FORMS}", status=400)
    method = value.get("method")
    if "method" in value and not isinstance(method, str):
        raise InputError(f"method must be a string, not {quoted(method)}", status=400)
    return PredictRequest(value["data"], method)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not valid JSON; send null for a missing value")
