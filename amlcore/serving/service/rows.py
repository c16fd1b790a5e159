"""Rows: from the bytes of a request to what the model is given, or to an error that names the row and the column."""

from __future__ import annotations

import math
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

EXPECTED = {
    "number": "a number",
    "boolean": "true or false",
    "text": "text",
    "date": "a date as text",
    "number or text": "a number or text",
    "any": "a single value",
}


MOST_COLUMNS = 10_000
"""Of a model that does not tell how many it takes: each costs some hundred bytes, and a body has room for millions."""

_NULL = type(None)
LEGAL: dict[str, set[type]] = {
    "number": {int, float, _NULL},
    "boolean": {bool, _NULL},
    "text": {str, _NULL},
    "date": {str, _NULL},
    "number or text": {int, float, str, _NULL},
    "any": {int, float, bool, str, _NULL},
}


class InputError(Exception):
    """A request that cannot be answered, with the row and the column at fault where there are such."""

    def __init__(
        self, message: str, *, row: int | None = None, column: str | int | None = None, status: int = 422
    ) -> None:
        super().__init__(message)
        self.row = row
        self.column = column
        self.status = status

    def to_json(self) -> dict[str, Any]:
        return {"error": {"message": str(self), "row": self.row, "column": self.column}}


class Refused(Exception):  # noqa: N818 - no error: the model itself is asked then
    """Rows that a path leaves to the model."""


class Text(str):
    """Text for a column of unknown type: a model that wants a number there refuses it and does not read `"3"` as 3."""

    __slots__ = ()

    def __float__(self) -> float:
        raise ValueError(f"{quoted(self)} is text where the model wants a number")


def quoted(value: Any) -> str:
    """`value` as an error message shows it, cut where it is long."""
    if value is None or isinstance(value, (bool, list, dict)):
        names = {list: "a list", dict: "a record", bool: str(value).lower()}
        return names.get(type(value), "null")
    shown = repr(str(value)) if isinstance(value, str) else str(value)
    return shown if len(shown) <= 60 else shown[:57] + "…"


@dataclass(frozen=True)
class Column:
    """A column as the model was trained on it; `dtype` is None where that is not known."""

    position: int
    name: str | None
    dtype: str | None
    kind: str

    @property
    def label(self) -> str | int:
        return self.position if self.name is None else self.name

    def check(self, values: list[Any]) -> None:
        """Raises InputError for the first of `values` that may not stand in this column."""
        try:
            if set(map(type, values)) <= LEGAL[self.kind] and all(map(_is_finite, values)):
                return
        except OverflowError:  # an integer beyond any float
            pass
        for row, value in enumerate(values):
            if type(value) not in LEGAL[self.kind]:
                raise self._bad(row, f"expected {EXPECTED[self.kind]}, got {quoted(value)}")
            if not _fits(value):
                raise self._bad(row, "the number is too large")

    def _bad(self, row: int, what: str) -> InputError:
        return InputError(f"row {row}, column {self.label!r}: {what}", row=row, column=self.label)

    def values(self, given: list[Any]) -> Any:
        """An array of the trained dtype, where the values fit it without loss."""
        import numpy as np

        if self.kind == "date":
            return self._dates(given)
        if all(value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)) for value in given):
            return _numbers(given, self.dtype)
        if all(isinstance(value, bool) for value in given):
            return np.array(given, dtype=bool)
        array = np.empty(len(given), dtype=object)
        for index, value in enumerate(given):
            array[index] = math.nan if value is None else value
            if self.dtype is None and isinstance(value, str):
                array[index] = Text(value)
        return array

    def _dates(self, given: list[Any]) -> Any:
        import pandas as pd

        dates = []
        for row, value in enumerate(given):
            try:
                dates.append(pd.Timestamp(value) if value is not None else pd.NaT)
            except (ValueError, TypeError, OverflowError):
                raise self._bad(row, f"{quoted(value)} is no date") from None
        return pd.Series(dates, dtype="object")


def _is_finite(value: Any) -> bool:
    return type(value) not in (int, float) or math.isfinite(value)


def _fits(value: Any) -> bool:
    try:
        return _is_finite(value)
    except OverflowError:
        return False


def _numbers(given: list[Any], dtype: str | None) -> Any:
    import numpy as np

    is_whole = all(isinstance(value, int) for value in given)
    if is_whole and (dtype is None or "int" in dtype.lower()):
        try:
            return np.array(given, dtype=(dtype or "int64").lower())
        except (OverflowError, ValueError, TypeError):  # beyond the trained type
            pass
    numbers = [math.nan if value is None else float(value) for value in given]
    return np.array(numbers, dtype=dtype.lower() if dtype in ("float32", "Float32") else "float64")


def kind_of(dtype: str | None, *, is_named: bool, sample: list[Any]) -> str:
    """What a column may hold, by the name of its dtype; of an object column the sample decides."""
    if dtype is None:
        return "any" if is_named else "number or text"
    name = dtype.lower()
    if name.startswith(("int", "uint", "float")):
        return "number"
    if name.startswith("bool"):
        return "boolean"
    if name.startswith("datetime"):
        return "date"
    seen = [value for value in sample if value is not None]
    is_text = name.startswith(("str", "<u")) or (name == "object" and seen and all(isinstance(v, str) for v in seen))
    return "text" if is_text else "any"


class Signature:
    """The rows that a model takes: how many columns, their names and types, as far as they are known."""

    def __init__(self, signature: dict[str, Any], sample: dict[str, Any] | None) -> None:
        if signature.get("columns") is None and signature.get("n_features") is None and sample:
            # a pipeline whose first step keeps no record of its columns: the sample knows them
            signature = {**signature, "columns": sample.get("columns"), "dtypes": sample.get("dtypes")}
        self.names: list[str] | None = signature.get("columns")
        self._known = frozenset(self.names or ())  # to look each name up in the list takes seconds of a wide model
        self.n_features: int | None = len(self.names) if self.names else signature.get("n_features")
        self._dtypes: list[str] = signature.get("dtypes") or []
        self._sample: list[Any] = (sample or {}).get("rows") or []

    @property
    def takes_texts(self) -> bool:
        """Whether rows may be plain texts: the number of columns is unknown, as with a text vectorizer."""
        return self.n_features is None

    def columns(self, width: int) -> list[Column]:
        return [self._column(position, width) for position in range(width)]

    def _column(self, position: int, width: int) -> Column:
        name = self.names[position] if self.names else None
        dtype = self._dtypes[position] if len(self._dtypes) == width else None
        sample = [row[position] for row in self._sample if isinstance(row, list) and len(row) == width]
        return Column(position, name, dtype, kind_of(dtype, is_named=name is not None, sample=sample))

    def read(self, data: Any) -> list[list[Any]]:
        """The rows of `data`, each checked, in the order of the model's columns."""
        if isinstance(data, dict):
            data = self._turned(data) if any(isinstance(value, list) for value in data.values()) else [data]
        if not isinstance(data, list):
            raise InputError(f"data must be a list of rows, got {quoted(data)}")
        if not data:
            raise InputError("data holds no rows")
        if self.takes_texts and all(isinstance(item, str) for item in data):
            return [[item] for item in data]
        if not any(isinstance(item, (list, dict)) for item in data):
            data = [data]
        rows = [self._row(row, number) for number, row in enumerate(data)]
        if self.n_features is None and len(rows[0]) > MOST_COLUMNS:
            raise InputError(f"row 0 has {_count(len(rows[0]))}, {MOST_COLUMNS} are the most that are taken", row=0)
        columns = self.columns(self.n_features or len(rows[0]))
        for number, row in enumerate(rows):
            if len(row) != len(columns):
                wanted = f"the model takes {len(columns)}" if self.n_features else f"row 0 has {len(columns)}"
                raise InputError(f"row {number} has {_count(len(row))}, {wanted}", row=number)
        for column in columns:
            column.check([row[column.position] for row in rows])
        return rows

    def _turned(self, columns: dict[str, Any]) -> list[list[Any]]:
        """The rows of columns by their name."""
        given = self._ordered(columns, None)
        for name, values in zip(self.names or [], given):
            if not isinstance(values, list):
                raise InputError(f"column {name!r}: expected a list of values, got {quoted(values)}", column=name)
            if len(values) != len(given[0]):
                first = (self.names or [])[0]
                counts = f"has {_count(len(values))}, column {first!r} has {len(given[0])}"
                raise InputError(f"column {name!r} {counts}", column=name)
        return [list(row) for row in zip(*given)]

    def _row(self, row: Any, number: int) -> list[Any]:
        if isinstance(row, dict):
            return self._ordered(row, number)
        if not isinstance(row, list):
            raise InputError(f"row {number} must be a list or a record, got {quoted(row)}", row=number)
        if not row:
            raise InputError(f"row {number} is empty", row=number)
        return row

    def _ordered(self, record: dict[str, Any], number: int | None) -> list[Any]:
        where = "data" if number is None else f"row {number}"
        if self.names is None:
            raise InputError("the model was trained without column names: send rows as lists", row=number)
        for name in record:
            if name not in self._known:
                near = get_close_matches(name, self.names, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"legal: {', '.join(self.names)}"
                raise InputError(f"{where}: unknown column {quoted(name)}; {hint}", row=number, column=name)
        for name in self.names:
            if name not in record:
                raise InputError(f"{where}: column {name!r} is missing", row=number, column=name)
        return [record[name] for name in self.names]

    def has_gap(self, rows: list[list[Any]]) -> bool:
        """Whether a named column of unknown type is all null, which may stand for numbers and for texts."""
        return any(_is_gap(column, rows) for column in self.columns(len(rows[0])))

    def to_input(self, rows: list[list[Any]], *, gaps_are_objects: bool = False) -> Any:
        """What the model is called with: a DataFrame if it was trained on one, a list of texts, or an array."""
        columns = self.columns(len(rows[0]))
        if self.takes_texts and len(columns) == 1 and all(isinstance(row[0], str) for row in rows):
            return [row[0] for row in rows]
        parts = [(column, column.values([row[column.position] for row in rows])) for column in columns]
        if gaps_are_objects:
            parts = [(column, values.astype(object) if _is_gap(column, rows) else values) for column, values in parts]
        return self._frame(parts) if self.names else _matrix([values for _, values in parts])

    def _frame(self, parts: list[tuple[Column, Any]]) -> Any:
        import pandas as pd

        series = {column.position: _typed(pd.Series(values, dtype=values.dtype), column) for column, values in parts}
        frame = pd.DataFrame(series)
        frame.columns = pd.Index(self.names)
        return frame


def _is_gap(column: Column, rows: list[list[Any]]) -> bool:
    return column.kind == "any" and all(row[column.position] is None for row in rows)


def _typed(series: Any, column: Column) -> Any:
    """`series` in its trained dtype where that is not one of numpy's numbers, which `Column.values` has set."""
    if column.dtype is None or column.kind in ("number", "boolean") or (column.kind, column.dtype) == ("any", "object"):
        return series
    try:
        return series.astype(column.dtype)
    except (ValueError, TypeError) as error:
        raise InputError(f"column {column.label!r}: {error}", column=column.label) from None


def _matrix(columns: list[Any]) -> Any:
    import numpy as np

    if all(values.dtype.kind in "iuf" for values in columns):
        return np.column_stack([values.astype("float64") for values in columns])
    matrix = np.empty((len(columns[0]), len(columns)), dtype=object)
    for position, values in enumerate(columns):
        matrix[:, position] = values
    return matrix


def _count(number: int) -> str:
    return "1 value" if number == 1 else f"{number} values"
