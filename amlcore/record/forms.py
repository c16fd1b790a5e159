"""Forms: dataclasses that say, by the types of their fields, what a JSON file must hold.

A field is required unless it has a default. Its `metadata` may name a `key` other than the field's own name, or None if
it is not in the file. Keys that a form does not name are left alone, since a newer amlcore may have written them.
"""

from __future__ import annotations

import json
import math
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from amlcore.errors import AmlcoreError, RecordError

F = TypeVar("F")

_NAMES: dict[Any, str] = {
    **{str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "a mapping"},
    **{list: "a list", NoneType: "null"},
}


class Moment(str):
    """A time in ISO 8601, with its time zone."""

    @property
    def datetime(self) -> datetime:
        return datetime.fromisoformat(self)


_NAMES[Moment] = "an ISO 8601 time with a time zone"


def parse(path: str | Path, value: Any, form: type[F], *, error: type[AmlcoreError] = RecordError) -> F:
    """The JSON object `value` as an instance of the dataclass `form`; null stands for a field's default.

    Parameters
    ----------
    path : path
        Where `value` was read from, for the message of an error.
    form : dataclass
        Its field `document`, if it has one, takes the object as it is.
    """
    return form(**parse_fields(path, value, form, error=error))


def parse_fields(
    path: str | Path, value: Any, form: type[Any], *, error: type[AmlcoreError] = RecordError
) -> dict[str, Any]:
    """The values of the fields of `form` that `value` holds, by the names of the fields."""
    if not isinstance(value, dict):
        raise error(f"{path} is damaged: it must hold a mapping, not {json_kind(value)}")
    keys: tuple[_Key, ...] = _keys(form)  # type: ignore[arg-type]
    missing = sorted(key.name for key in keys if key.is_required and key.name not in value)
    if missing:
        more = f" and {len(missing) - 3} more keys" if len(missing) > 3 else ""
        raise error(
            f"{path} is damaged, or written by another version of amlcore: it lacks {', '.join(missing[:3])}{more}"
        )
    parsed: dict[str, Any] = {}
    for key in keys:
        if key.field == "document":
            parsed["document"] = value
        elif key.is_required or value.get(key.name) is not None:
            parsed[key.field] = _converted(path, key.name, value[key.name], key.kinds, error)
    return parsed


def json_kind(value: Any) -> str:
    """`value` as a message names it."""
    if value is None or isinstance(value, (dict, list)):
        return _NAMES[type(value)]
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:40]}…"


@dataclass(eq=False)
class _Key:
    """A key of a JSON object and the types that its value may have."""

    name: str
    field: str
    kinds: tuple[Any, ...]
    is_required: bool


@cache
def _keys(form: type[Any]) -> tuple[_Key, ...]:
    kinds = {field.name: field.type for field in fields(form)}
    if any(isinstance(kind, str) for kind in kinds.values()):  # the module postpones the evaluation of annotations
        kinds = get_type_hints(form)
    keys = []
    for field in fields(form):
        name = field.metadata.get("key", field.name)
        if name is None:  # a field of the object that its file does not have
            continue
        is_required = field.default is MISSING and field.default_factory is MISSING
        members = _members(kinds[field.name])
        if not is_required:  # null stands for the default
            members = tuple(kind for kind in members if kind is not NoneType)
        keys.append(_Key(name, field.name, members, is_required))
    return tuple(keys)


def _members(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if isinstance(kind, UnionType) else (kind,)


def _converted(path: str | Path, name: str, value: Any, kinds: tuple[Any, ...], error: type[AmlcoreError]) -> Any:
    for kind in kinds:
        if kind is Any:
            return value
        if _fits(value, kind):
            return _as(f"{path}: {name}", value, kind, error)
    if isinstance(value, str) and (choices := [kind for kind in kinds if issubclass(_generic_origin(kind), StrEnum)]):
        expected = f"one of {', '.join(choices[0])}"
    else:
        expected = " or ".join(_NAMES[_json_type(kind)] for kind in kinds)
    raise error(f"{path} is damaged: {name} must be {expected}, not {json_kind(value)}")


def _as(where: str, value: Any, kind: Any, error: type[AmlcoreError]) -> Any:
    """`value`, which fits `kind`, with all that it holds converted too."""
    if is_dataclass(kind):
        return parse(where, value, kind, error=error)  # type: ignore[arg-type]
    inner = get_args(kind)
    if isinstance(value, dict) and inner and inner[1] is not Any:
        return {name: _converted(where, name, item, _members(inner[1]), error) for name, item in value.items()}
    if isinstance(value, list) and inner and inner[0] is not Any:
        kinds = _members(inner[0])
        return [_converted(where, str(index), item, kinds, error) for index, item in enumerate(value)]
    return kind(value) if kind is Moment or issubclass(_generic_origin(kind), StrEnum) else value


def _fits(value: Any, kind: Any) -> bool:
    if kind is Moment:
        return isinstance(value, str) and _is_moment(value)
    if issubclass(_generic_origin(kind), StrEnum):
        return isinstance(value, str) and value in list(kind)
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return (isinstance(value, int) and abs(value) < 2**63) or (isinstance(value, float) and math.isfinite(value))
    return isinstance(value, _json_type(kind))


def _generic_origin(kind: Any) -> type:
    plain: type = get_origin(kind) or kind
    return plain


def _json_type(kind: Any) -> type:
    """The type of JSON that a value of `kind` is written as."""
    plain = _generic_origin(kind)
    if is_dataclass(plain):
        return dict
    return str if issubclass(plain, StrEnum) else plain


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
