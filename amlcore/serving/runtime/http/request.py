"""Request: the bytes of a body, as the data that is sent and the method that is asked."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from ..inputs.errors import RequestError, quoted

FORMS = (
    '{"data": rows}, where rows is a list of lists or of records by column name, one of these, or columns by their '
    'name; beside it may stand "method"'
)
try:
    import orjson
except ImportError:  # an environment that it does not fit in
    orjson = None  # type: ignore[assignment]

ASKED = frozenset(("data", "method"))


class PredictRequest(NamedTuple):
    data: Any
    method: str | None = None
    is_numeric: bool = False
    """Whether the data is known to hold nothing but lists and numbers."""


def read_quickly(body: bytes) -> PredictRequest | None:
    """The request, if it is right at first sight; otherwise `read` says what is wrong, or reads it all the same."""
    try:
        value = orjson.loads(body) if orjson is not None else json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    if type(value) is not dict or "data" not in value:
        return None
    if len(value) == 1:
        # neither a text nor null, true or false: only `"data"` has quotes, and these letters are in none of a number's
        is_numeric = body.count(b'"') == 2 and b"u" not in body and b"l" not in body
        return PredictRequest(value["data"], None, is_numeric)
    method = value.get("method")
    return PredictRequest(value["data"], method) if len(value) == 2 and type(method) is str else None


def read(body: bytes) -> PredictRequest:
    """The request.

    Raises
    ------
    RequestError
        It is not JSON, or of another form.
    """
    try:
        value = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON: {error}", status=400) from None
    if not isinstance(value, dict) or "data" not in value:
        raise RequestError(f"the body must be {FORMS}", status=400)
    unknown = sorted(set(value) - ASKED)
    if unknown:
        raise RequestError(f"unknown key {quoted(unknown[0])}: the body must be {FORMS}", status=400)
    method = value.get("method")
    if "method" in value and not isinstance(method, str):
        raise RequestError(f"method must be a text, got {quoted(method)}", status=400)
    return PredictRequest(value["data"], method)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value; a missing value is null")
