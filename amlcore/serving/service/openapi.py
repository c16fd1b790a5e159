"""What OpenAPI says of a model's endpoints: BentoML sees only bytes there, the signature knows the rows."""

from __future__ import annotations

from typing import Any

from .predictor import Model
from .rows import Column

TYPES: dict[str, dict[str, Any]] = {
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "text": {"type": "string"},
    "date": {"type": "string", "format": "date-time"},
    "number or text": {"oneOf": [{"type": "number"}, {"type": "string"}]},
    "any": {"oneOf": [{"type": "number"}, {"type": "string"}, {"type": "boolean"}]},
}

ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "row", "column"],
            "properties": {
                "message": {"type": "string"},
                "row": {"type": "integer", "nullable": True, "description": "counted from 0"},
                "column": {"description": "its name, or its position from 0 where it has none"},
            },
        }
    },
}


def describe(operation: dict[str, Any], model: Model, method: str) -> None:
    """Fill in what BentoML left open of one endpoint."""
    operation["summary"] = f"{method} of {model.name}, version {model.version}"
    operation["requestBody"] = {"required": True, "content": _json(_body(model), _example(model))}
    errors = {
        "400": "The body is not JSON, or not of the form that is wanted",
        "422": "The rows do not fit the model",
        "500": "The model failed",
    }
    operation["responses"] = {
        "200": {"description": "One answer a row", "content": _json(_answer(method))},
        **{status: {"description": text, "content": _json(ERROR)} for status, text in errors.items()},
    }


def _json(schema: dict[str, Any], example: Any = None) -> dict[str, Any]:
    return {"application/json": {"schema": schema, **({} if example is None else {"example": example})}}


def _body(model: Model) -> dict[str, Any]:
    row = _row(model)
    forms = [{"type": "array", "minItems": 1, "items": row}, row]
    if model.signature.takes_texts:
        forms.append({"type": "array", "minItems": 1, "items": {"type": "string"}})
    return {
        "type": "object",
        "required": ["data"],
        "properties": {"data": {"description": "rows, or one row", "anyOf": forms}},
        "additionalProperties": False,
    }


def _row(model: Model) -> dict[str, Any]:
    count = model.signature.n_features
    if count is None:
        return {"type": "array", "minItems": 1, "items": {**TYPES["number or text"], "nullable": True}}
    columns = model.signature.columns(count)
    cells = [_cell(column) for column in columns]
    kinds = [cell for number, cell in enumerate(cells) if cell not in cells[:number]]
    items = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    as_list = {"type": "array", "minItems": count, "maxItems": count, "items": items}
    if model.signature.names is None:
        return as_list
    record = {
        "type": "object",
        "required": model.signature.names,
        "properties": {column.name: _cell(column) for column in columns},
        "additionalProperties": False,
    }
    return {"anyOf": [as_list, record]}


def _cell(column: Column) -> dict[str, Any]:
    return {**TYPES[column.kind], "nullable": True}


def _answer(method: str) -> dict[str, Any]:
    key = {"predict": "predictions", "predict_proba": "probabilities"}[method]
    properties: dict[str, Any] = {
        key: {"type": "array", "items": {}},
        "model": {"type": "string"},
        "version": {"type": "integer"},
    }
    if method == "predict_proba":
        properties["classes"] = {"type": "array", "items": {}}
    return {"type": "object", "required": list(properties), "properties": properties}


def _example(model: Model) -> Any:
    rows = (model.sample or {}).get("rows")
    if not rows:
        return None
    names = model.signature.names
    return {"data": [_record(names, row) if names else row for row in rows[:2]]}


def _record(names: list[str], row: list[Any]) -> dict[str, Any]:
    return {name: row[position] for position, name in enumerate(names)}
