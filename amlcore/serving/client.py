"""Client: sends a request to a service on this machine."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any


def request(
    url: str, *, body: bytes | None = None, key: str | None = None, timeout_s: float | None
) -> tuple[int, bytes]:
    """The status and the body of a service's answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback needs no proxy
    headers = {"Content-Type": "application/json", **({} if key is None else {"Authorization": f"Bearer {key}"})}
    post = urllib.request.Request(url, data=body, headers=headers)
    try:
        with opener.open(post, timeout=timeout_s) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def body(input_data: Any) -> bytes:
    """The body for rows of any form; a complete body is returned as it is."""
    if isinstance(input_data, bytes):
        return input_data
    if isinstance(input_data, str):
        return input_data.encode()
    if hasattr(input_data, "to_dict"):  # a DataFrame, or one row of it
        input_data = input_data.to_dict("records") if hasattr(input_data, "columns") else [input_data.to_dict()]
    is_body = isinstance(input_data, dict) and "data" in input_data
    return json.dumps(_to_json(input_data if is_body else {"data": input_data})).encode()


def _to_json(value: Any) -> Any:
    """`value` in JSON's types: numpy's arrays and scalars as lists and numbers, NaN as null."""
    if isinstance(value, dict):
        return {str(key): _to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    if hasattr(value, "tolist"):
        return _to_json(value.tolist())
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - what makes a NaN
        return None
    return str(value) if hasattr(value, "isoformat") else value
