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


SCHEME = {"type": "http", "scheme": "bearer", "description": "one of the two keys of the service"}


def describe(specification: Any, model: Model) -> None:
    """Fill in what BentoML left open of a service: the model's endpoints, and who may ask them."""
    settings = model.settings
    limits = {
        "408": f"The body did not arrive within {settings['timeout_s']:g} s",
        "413": f"The body is larger than {settings['max_body_bytes']} bytes",
        "415": "The body is said to be something else than JSON in utf-8",
        "429": "Too many requests are being answered; Retry-After says when to come again",
        "504": f"There was no answer within {settings['timeout_s']:g} s",
    }
    guard = {"401": "There is no key, or another one than the service has"} if settings["auth"] == "key" else {}
    for method in model.methods:
        operation = specification.paths[f"/{method}"].post
        _describe(operation, model, method, {**limits, **guard})
        if guard:
            operation["security"] = [{"key": []}]
    metrics = {"200": {"description": "In Prometheus's text format", "content": {"text/plain": {}}}}
    operation = {"tags": ["Infrastructure"], "description": "Metrics of all workers", "responses": metrics}
    if guard:
        specification.components["securitySchemes"] = {"key": SCHEME}
        operation["responses"] = {**metrics, "401": {"description": guard["401"], "content": _json(ERROR)}}
        operation["security"] = [{"key": []}]
    specification.paths["/metrics"] = type(specification.paths["/metrics"])(get=operation)


def _describe(operation: dict[str, Any], model: Model, method: str, further: dict[str, str]) -> None:
    operation["summary"] = f"{method} of {model.name}, version {model.version}"
    operation["requestBody"] = {"required": True, "content": _json(_body(model), _example(model))}
    errors = {
        "400": "The body is not JSON, or not of the form that is wanted",
        "422": "The rows do not fit the model",
        "500": "The model failed",
        **further,
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
