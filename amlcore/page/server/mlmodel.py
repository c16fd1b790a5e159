"""The MLmodel file of a registered model that has none, so that MLflow's page can show its schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from amlcore.worker.files import read_json

TYPES = {
    "float64": "double",
    "float32": "float",
    "int64": "long",
    "int32": "integer",
    "int16": "integer",
    "int8": "integer",
    "bool": "boolean",
}
"""MLflow's names of NumPy's types; times are `datetime`, and all others are shown as text."""


def describe_model(version: Path) -> str | None:
    """The MLmodel file of the model version in a folder; None if its record cannot be read."""
    try:
        record = read_json(str(version / "model.json"))
        columns = _columns(record["signature"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return yaml.safe_dump({"flavors": {}, "signature": {"inputs": json.dumps(columns), "outputs": "[]"}})


def _columns(signature: dict[str, Any] | None) -> list[dict[str, Any]]:
    if signature is None:
        return []
    dtypes = signature["dtypes"] or []
    names = signature["columns"] or [f"column {number}" for number in range(len(dtypes))]
    return [
        {"name": str(name), "type": _type(str(dtype)), "required": True}
        for name, dtype in zip(names, dtypes, strict=True)
    ]


def _type(dtype: str) -> str:
    return "datetime" if dtype.startswith("datetime") else TYPES.get(dtype, "string")
