"""The OpenAPI description of a model's endpoints: BentoML sees only bytes, the signature knows the rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ..inputs.columns import Column
from ..packaged_model import PackagedModel
from .response import ANSWER_KEYS

VERSION = "3.1.0"  # the first with prefixItems, a schema for each position of a row

TYPES: dict[str, list[dict[str, Any]]] = {
    "number": [{"type": "number"}],
    "boolean": [{"type": "boolean"}],
    "text": [{"type": "string"}],
    "date": [{"type": "string", "format": "date-time"}],
    "duration": [{"type": "string"}],
    "period": [{"type": "string"}],
    "number or text": [{"type": "number"}, {"type": "string"}],
    "number or boolean": [{"type": "number"}, {"type": "boolean"}],
    "boolean or text": [{"type": "boolean"}, {"type": "string"}],
    "any": [{"type": "number"}, {"type": "string"}, {"type": "boolean"}],
    "object": [{"type": "null"}],
}

PROBES: dict[str, Any] = {"null": None, "number": 1.0, "string": "text", "boolean": True}
"""A value of each JSON type, by the type's name."""

ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "row", "column"],
            "properties": {
                "message": {"type": "string"},
                "row": {"type": ["integer", "null"], "description": "counted from 0"},
                "column": {"description": "its name, or its position from 0 if it has no name"},
            },
        }
    },
}


SCHEME = {"type": "http", "scheme": "bearer", "description": "one of the service's two keys"}


Ask = Callable[[str, bytes], tuple[int, bytes]]


def taken_types(model: PackagedModel, ask: Ask) -> dict[int, set[str]]:
    """The JSON types that each column accepts, by position; the model is asked with changed rows of its sample."""
    width = model.signature.n_features
    rows = model.sample_rows or ([[0.0] * width] if width else [])
    whole = [row for row in rows if isinstance(row, list) and len(row) == width and None not in row][:1]

    def takes(row: list[Any]) -> bool:
        return ask(model.methods[0], json.dumps({"data": [row]}).encode())[0] == 200

    return {
        place: {name for name, value in PROBES.items() if takes([*row[:place], value, *row[place + 1 :]])}
        | {_type_of(row[place])}
        for row in whole
        if takes(row)
        for place in range(len(row))
    }


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "number"


def complete_openapi(specification: Any, model: PackagedModel, types: dict[int, set[str]]) -> None:
    """Complete BentoML's description: the model's endpoints, and the keys that they require.

    `types`: the JSON types that each column accepts, by position; empty if no model was loaded to find out.
    """
    settings = model.settings
    limits = {
        "408": f"The body did not arrive within {settings['timeout_s']:g} s",
        "413": f"The body is larger than {settings['max_body_bytes']} bytes",
        "415": "The headers declare a body other than JSON in utf-8",
        "429": "Too many requests at once; Retry-After says when to retry",
        "504": f"The model did not answer within {settings['timeout_s']:g} s",
    }
    guard = {"401": "The key is missing or wrong"} if settings["auth"] == "key" else {}
    for method in model.methods:
        operation = specification.paths[f"/{method}"].post
        _describe(operation, model, method, {**limits, **guard}, types)
        if guard:
            operation["security"] = [{"key": []}]
    metrics = {"200": {"description": "Metrics in the Prometheus text format", "content": {"text/plain": {}}}}
    operation = {"tags": ["Infrastructure"], "description": "The metrics of all workers", "responses": metrics}
    if guard:
        specification.components["securitySchemes"] = {"key": SCHEME}
        operation["responses"] = {**metrics, "401": {"description": guard["401"], "content": _json(ERROR)}}
        operation["security"] = [{"key": []}]
    specification.paths["/metrics"] = type(specification.paths["/metrics"])(get=operation)


def _describe(
    operation: dict[str, Any],
    model: PackagedModel,
    method: str,
    more_errors: dict[str, str],
    types: dict[int, set[str]],
) -> None:
    operation["summary"] = f"{method} of {model.name}, version {model.version}"
    operation["requestBody"] = {
        "required": True,
        "content": _json(_body(model, method, types), _examples(model, method)),
    }
    errors = {
        "400": "The body is not JSON, or not of the documented form",
        "422": "The rows do not fit the model",
        "500": "The model failed; the reason is in the service's log",
        **more_errors,
    }
    operation["responses"] = {
        "200": {"description": "One answer for each row", "content": _json(_answers(model, method))},
        **{status: {"description": text, "content": _json(ERROR)} for status, text in errors.items()},
    }


def _json(schema: dict[str, Any], examples: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"application/json": {"schema": schema, **({"examples": examples} if examples else {})}}


def _body(model: PackagedModel, route: str, types: dict[int, set[str]]) -> dict[str, Any]:
    row = _row(model, types)
    forms = [{"type": "array", "minItems": 1, "items": row}, row]
    if model.signature.takes_texts:
        forms.append({"type": "array", "minItems": 1, "items": {"type": "string"}})
    methods = model.all_methods if route == model.methods[0] else [route]
    default = f"the default is {model.default_method if route == model.methods[0] else route}"
    return {
        "type": "object",
        "required": ["data"],
        "properties": {
            "data": {"description": "rows, a single row, or columns of equal length by name", "anyOf": forms},
            "method": {"description": default, "type": "string", "enum": methods},
        },
        "additionalProperties": False,
    }


def _row(model: PackagedModel, types: dict[int, set[str]]) -> dict[str, Any]:
    count = model.signature.n_features
    if not model.signature.is_table:
        return {"type": "object" if model.signature.form == "records" else "array"}
    if count is None:
        return {"type": "array", "minItems": 1, "items": _any_of([*TYPES["number or text"], {"type": "null"}])}
    columns = model.signature.columns(count)
    cells = [_cell(column, types.get(column.position)) for column in columns]
    items = {"items": cells[0]} if all(cell == cells[0] for cell in cells) else {"prefixItems": cells}
    as_list = {"type": "array", "minItems": count, "maxItems": count, **items}
    if model.signature.names is None:
        return as_list
    record = {
        "type": "object",
        "required": model.signature.names,
        "properties": {column.name: cell for column, cell in zip(columns, cells)},
        "additionalProperties": False,
    }
    return {"anyOf": [as_list, record]}


def _cell(column: Column, types: set[str] | None) -> dict[str, Any]:
    """The types of the signature that the model was found to accept for a column."""
    schemas = [*TYPES[column.kind], {"type": "null"}]
    return _any_of([schema for schema in schemas if types is None or schema["type"] in types])


def _any_of(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _answers(model: PackagedModel, route: str) -> dict[str, Any]:
    """The answers of a route; the first one answers every method that a body may ask for."""
    methods = model.all_methods if route == model.methods[0] else [route]
    return _any_of([_answer(method) for method in methods])


def _answer(method: str) -> dict[str, Any]:
    properties: dict[str, Any] = {
        ANSWER_KEYS[method]: {"type": "array", "items": {}},
        "model": {"type": "string"},
        "version": {"type": "integer"},
    }
    if method == "predict_proba":
        properties["classes"] = {"type": "array", "items": {}}
    return {"type": "object", "required": list(properties), "properties": properties}


def _examples(model: PackagedModel, route: str) -> dict[str, Any]:
    """The sample in each form that a body may have."""
    rows = model.sample_rows[:2]
    names = model.signature.names
    if not rows:
        return {}
    if not model.signature.is_table:
        return {"rows": {"value": {"data": rows}}}
    bodies = {"rows": {"data": rows}, "one row, and the method": {"data": rows[0], "method": route}}
    if names:
        records = [dict(zip(names, row)) for row in rows]
        columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
        bodies = {"records": {"data": records}, **bodies, "columns": {"data": columns}}
    return {name: {"value": value} for name, value in bodies.items()}
