"""A column: which values a request may have in it, given the type that it had in training."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from . import times
from .errors import InputError, quoted

EXPECTED = {
    "number": "a number",
    "boolean": "true or false",
    "text": "text",
    "date": "a date as text",
    "duration": "a duration as text",
    "period": "a period as text",
    "number or text": "a number or text",
    "number or boolean": "a number, true or false",
    "boolean or text": "true, false or text",
    "any": "a single value",
    "object": "nothing",
}

NUMPY = re.compile(r"u?int\d+|float\d+|bool|str|[<>]U\d+")
_NULL = type(None)
VALUE_TYPES: dict[str, set[type]] = {
    "number": {int, float, _NULL},
    "boolean": {bool, _NULL},
    "text": {str, _NULL},
    "date": {str, _NULL},
    "duration": {str, _NULL},
    "period": {str, _NULL},
    "number or text": {int, float, str, _NULL},
    "number or boolean": {int, float, bool, _NULL},
    "boolean or text": {bool, str, _NULL},
    "any": {int, float, bool, str, _NULL},
    "object": {_NULL},
}

MAX_EXACT_INT = 2**53
"""Up to here float64 represents every integer exactly."""

DATES = ("date", "datetime", "Timestamp", "datetime64")
OBJECTS = {
    "str": "text",
    "bool": "boolean",
    "int": "number",
    "float": "number",
    "Decimal": "number",
    **dict.fromkeys(DATES, "date"),
    "Timedelta": "duration",
    "timedelta": "duration",
    "Period": "period",
}
"""What a request sends in place of an object, by the name of the object's type."""
CONTAINERS = ("list", "tuple", "dict", "set", "frozenset", "ndarray")
"""Types of more than a single value; a request may hold them where the model takes records or lists."""

NUMERIC = ("int", "uint", "float", "double", "halffloat", "sparse[int", "sparse[uint", "sparse[float")
STARTS = {
    **dict.fromkeys(NUMERIC, "number"),
    **dict.fromkeys(("bool", "sparse[bool"), "boolean"),
    **dict.fromkeys(("datetime64", "timestamp", "date32", "date64"), "date"),
    **dict.fromkeys(("timedelta64", "duration"), "duration"),
    "period": "period",
    **dict.fromkeys(("str", "large_string", "<u", ">u"), "text"),
}


def kind_of(dtype: str | None, *, is_named: bool, sample: list[Any], detail: dict[str, Any] | None = None) -> str:
    """The kind of values that a column takes: by its dtype; for an object column by its details, or else the sample."""
    detail = detail or {}
    if "types" in detail:
        if set(detail["types"]) - {*OBJECTS, *CONTAINERS}:  # JSON has no form for these
            return "object"
        return _joined({OBJECTS.get(name, "any") for name in detail["types"]})
    if dtype is None:
        return "any" if is_named else "number or text"
    name = dtype.lower()
    if name == "category":
        return _category_kind(detail)
    for start, kind in STARTS.items():
        if name.startswith(start):
            return kind
    seen = [value for value in sample if value is not None]
    return "text" if name == "object" and seen and all(isinstance(value, str) for value in seen) else "any"


def _category_kind(detail: dict[str, Any]) -> str:
    if "categories" not in detail:
        return "any"
    if "objects" in detail or detail["of"].startswith("interval"):
        return "object"
    kind = kind_of(detail["of"], is_named=True, sample=[])
    if kind != "any":
        return kind
    kinds = {"boolean" if isinstance(one, bool) else OBJECTS[type(one).__name__] for one in detail["categories"]}
    return _joined(kinds)


def _joined(kinds: set[str]) -> str:
    together = " or ".join(sorted(kinds, key=["number", "boolean", "text"].index)) if _are_plain(kinds) else ""
    swapped = " or ".join(sorted(kinds))
    if len(kinds) == 1:
        return kinds.pop()
    return together if together in VALUE_TYPES else swapped if swapped in VALUE_TYPES else "any"


def _are_plain(kinds: set[str]) -> bool:
    return kinds <= {"number", "boolean", "text"}


@dataclass(frozen=True)
class Column:
    """A column as the model was trained on it; `dtype` is None if it is unknown."""

    position: int
    name: str | None
    dtype: str | None
    kind: str
    detail: dict[str, Any] = field(default_factory=dict)
    """Its categories, or the types of its objects and what stood for missing ones."""

    @property
    def label(self) -> str | int:
        return self.position if self.name is None else self.name

    @property
    def is_category(self) -> bool:
        return self.dtype == "category" and "categories" in self.detail

    @property
    def is_numpy(self) -> bool:
        """Whether it has a NumPy dtype: those cannot mark an integer or boolean as missing."""
        return self.dtype is not None and NUMPY.fullmatch(self.dtype) is not None

    @property
    def is_whole(self) -> bool:
        return self.dtype is not None and self.dtype.lower().startswith(("int", "uint"))

    @property
    def bounds(self) -> tuple[int, int]:
        """The least and the greatest number of an integer column."""
        name = (self.dtype or "").lower().partition("[")[0]
        bits = int(name[len("uint") :] if name.startswith("uint") else name[len("int") :])
        return (0, 2**bits - 1) if name.startswith("uint") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    def check(self, values: list[Any]) -> None:
        """Raise InputError for the first of `values` that this column does not take."""
        try:
            if set(map(type, values)) <= VALUE_TYPES[self.kind] and all(map(is_finite, values)):
                self._check_text(values)
                return
        except OverflowError:  # an integer beyond any float
            pass
        for row, value in enumerate(values):
            if self.kind == "object" and value is not None:
                raise self.bad(row, f"the model was trained on {self._objects} here, which JSON cannot express")
            if type(value) not in VALUE_TYPES[self.kind]:
                raise self.bad(row, f"expected {EXPECTED[self.kind]}, got {quoted(value)}")
            if not _fits(value):
                raise self.bad(row, "the number is too large")

    @property
    def _objects(self) -> str:
        named = self.detail.get("types") or self.detail.get("objects")
        return f"objects of type {' and '.join(named)}" if named else f"{self.detail['of']} categories"

    def bad(self, row: int, what: str) -> InputError:
        return InputError(f"row {row}, column {self.label!r}: {what}", row=row, column=self.label)

    def _check_text(self, values: list[Any]) -> None:
        """Refuse a valid JSON value that is not a valid date, or too large for a small float dtype."""
        if self.kind in times.PARSERS and not self.is_category:
            wrong = times.fault(values, self.kind, self.dtype, self.detail)
            if wrong is not None:
                raise self.bad(*wrong)
        elif (self.dtype or "").lower().startswith(("float16", "float32", "float[", "halffloat")):
            most = 65504.0 if "16" in str(self.dtype) or "half" in str(self.dtype) else 3.4028234663852886e38
            for row, value in enumerate(values):
                if value is not None and abs(value) > most:
                    raise self.bad(row, f"the number is too large for {self.dtype}")

    def irregular(self, values: list[Any]) -> dict[int, str]:
        """The rows whose value the trained dtype cannot hold, each with the kind of the NumPy dtype that can.

        In one frame with the others, such a row would change the dtype of the whole column, and so their answers.
        """
        if self.dtype is None or "types" in self.detail:
            return {}
        if self.dtype == "bool":
            return {row: "f" for row, value in enumerate(values) if value is None}
        if not self.is_whole:
            return {}
        low, high = self.bounds
        kinds = {row: _needed(value) for row, value in enumerate(values) if value is None or not low <= value <= high}
        kinds.update({row: "f" for row, value in enumerate(values) if type(value) is float and value != int(value)})
        return {row: kind for row, kind in kinds.items() if values[row] is not None or self.is_numpy}

    def unknown(self, values: list[Any]) -> int | None:
        """The first row whose value is not one of the categories; None if there is none."""
        if not self.is_category:
            return None
        categories = set(map(keyed, self.detail["categories"]))
        return next((row for row, one in enumerate(values) if one is not None and keyed(one) not in categories), None)

    def nulls(self, values: list[Any]) -> tuple[str, ...]:
        """What null may stand for in this column: one meaning if training showed it, else each possible one."""
        is_object = self.dtype == "object" or (self.dtype is None and "types" in self.detail)
        if None not in values or self.is_category or not (is_object or self.dtype is None):
            return ("nan",)
        missing = tuple(self.detail.get("missing") or ())
        if missing:
            return missing
        if self.dtype is None and self.kind in ("number", "boolean"):
            return ("nan",)
        if self.dtype is None and any(isinstance(value, (int, float)) for value in values):
            return ("nan",)
        return ("NaT",) if self.kind == "date" else ("nan", "None")


def _needed(value: Any) -> str:
    if value is None or value != int(value):
        return "f"
    return "i" if -(2**63) <= value < 2**63 else "u" if 0 <= value < 2**64 else "f"


def keyed(value: Any) -> Any:
    """A key that tells True from 1, which are equal in Python; 1 and 1.0 still share a key."""
    return (isinstance(value, bool), value)


def is_finite(value: Any) -> bool:
    return type(value) not in (int, float) or math.isfinite(value)


def _fits(value: Any) -> bool:
    try:
        return is_finite(value)
    except OverflowError:
        return False
