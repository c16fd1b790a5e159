"""Signature: the rows that a model takes, as a request sends them and as the model gets them."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from .casting import PLAIN, Interpretation, cast, is_exact
from .columns import Column, kind_of
from .errors import InputError, count, quoted

MOST_COLUMNS = 10_000
"""For a model of unknown width: each column costs some hundred bytes, and a body has room for millions."""

MIN_INTEGER, MAX_INTEGER = -(2**63), 2**64 - 1
"""The bounds of int64 and uint64."""

FLAT = ("texts", "series", "values")
"""Forms with one dimension."""

AS_THEY_ARE = ("records", "lists")
"""Forms whose rows have no columns: the model gets them as JSON has them."""

if TYPE_CHECKING:
    Irregular = frozenset[tuple[int, str]]


class Signature:
    """The rows that a model takes: the number, names and types of their columns, as far as they are known."""

    def __init__(self, signature: dict[str, Any], sample: dict[str, Any] | None) -> None:
        if signature.get("columns") is None and signature.get("n_features") is None and sample:
            # such as a pipeline whose first step does not keep its columns: the sample has them
            from_sample = {key: sample.get(key) for key in ("columns", "labels", "dtypes", "details")}
            signature = {**signature, **from_sample}
        self.form: str | None = signature.get("form")
        """As run.log_sample names it; None in records of earlier versions, and if only the columns are known."""
        self.names: list[str] | None = signature.get("columns")
        self._known = frozenset(self.names or ())  # looking each name up in the list takes seconds for a wide model
        self._aliases: dict[str, str] = signature.get("aliases") or {}
        self._labels: list[Any] | None = signature.get("labels")
        self.n_features: int | None = len(self.names) if self.names else signature.get("n_features")
        if self.form in FLAT:
            self.n_features = 1
        self._dtypes: list[str | None] = signature.get("dtypes") or []
        self._details: list[dict[str, Any] | None] = signature.get("details") or []
        self._sample: list[Any] = (sample or {}).get("rows") or []
        self._columns: list[Column] = self._make(self.n_features) if self.n_features else []

    @property
    def takes_texts(self) -> bool:
        """Whether rows may be plain texts: the number of columns is unknown, as with a text vectorizer."""
        return self.n_features is None or self.form in FLAT

    @property
    def is_table(self) -> bool:
        """Whether rows are values of columns; otherwise they are records of any keys, or lists of any length."""
        return self.form not in AS_THEY_ARE

    @property
    def is_frame(self) -> bool:
        return bool(self.names) and self.form in (None, "frame")

    def example(self, position: int, width: int) -> list[Any]:
        """A value of the sample in that column, if it has one."""
        cells = [row[position] for row in self._sample if isinstance(row, list) and len(row) == width]
        return [value for value in cells if value is not None][:1]

    def columns(self, width: int) -> list[Column]:
        return self._columns if width == len(self._columns) else self._make(width)

    def _make(self, width: int) -> list[Column]:
        return [self._column(position, width) for position in range(width)]

    def _column(self, position: int, width: int) -> Column:
        name = self.names[position] if self.names else None
        dtype = self._dtypes[position] if len(self._dtypes) == width else None
        detail = (self._details[position] if len(self._details) == width else None) or {}
        sample = [row[position] for row in self._sample if isinstance(row, list) and len(row) == width]
        kind = kind_of(dtype, is_named=name is not None, sample=sample, detail=detail)
        kind = "text" if self.form == "texts" else kind
        return Column(position, name, dtype, kind, detail)

    def read(self, data: Any) -> list[Any]:
        """The rows of `data`, each checked, in the order of the model's columns."""
        if not self.is_table:
            return self._as_they_are(data)
        if isinstance(data, dict):
            data = self._turned(data) if any(isinstance(value, list) for value in data.values()) else [data]
        if not isinstance(data, list):
            raise InputError(f"data must be a list of rows, got {quoted(data)}")
        if not data:
            raise InputError("data has no rows")
        if not any(isinstance(item, (list, dict)) for item in data):
            are_rows = self.form in FLAT or (self.takes_texts and all(isinstance(item, str) for item in data))
            data = [[item] for item in data] if are_rows else [data]
        rows = [self._row(row, number) for number, row in enumerate(data)]
        if self.n_features is None and len(rows[0]) > MOST_COLUMNS:
            raise InputError(f"row 0 has {count(len(rows[0]))}; at most {MOST_COLUMNS} are accepted", row=0)
        columns = self.columns(self.n_features or len(rows[0]))
        for number, row in enumerate(rows):
            if len(row) != len(columns):
                expected = f"the model takes {len(columns)}" if self.n_features else f"row 0 has {len(columns)}"
                raise InputError(f"row {number} has {count(len(row))}, but {expected}", row=number)
        for column in columns:
            column.check([row[column.position] for row in rows])
        self._check_digits(columns, rows)
        return rows

    def _as_they_are(self, data: Any) -> list[Any]:
        """The rows of `data` as records or lists; nothing more is known of them."""
        kind, expected = (dict, "a record") if self.form == "records" else (list, "a list")
        if isinstance(data, dict) and kind is dict:
            data = [data]
        if not isinstance(data, list):
            raise InputError(f"data must be a list of rows, got {quoted(data)}")
        if not data:
            raise InputError("data has no rows")
        for number, row in enumerate(data):
            if not isinstance(row, kind):
                raise InputError(f"row {number} must be {expected}, got {quoted(row)}", row=number)
            for label, value in row.items() if isinstance(row, dict) else enumerate(row):
                if type(value) is int and not MIN_INTEGER <= value <= MAX_INTEGER:
                    raise InputError(
                        f"row {number}, column {label!r}: the integer {quoted(value)} has more than 64 bits",
                        row=number,
                        column=label,
                    )
        return data

    def _check_digits(self, columns: list[Column], rows: list[list[Any]]) -> None:
        """Raise InputError for an integer that would lose digits because its column must become float."""
        is_matrix = not self.is_frame and self.form not in FLAT
        all_whole = is_matrix and all(type(value) is int for row in rows for value in row)
        for column in columns:
            if column.dtype is not None and not column.is_whole:
                continue
            values = [row[column.position] for row in rows]
            if is_exact(values):
                continue
            if column.dtype is None:
                is_whole = all_whole if is_matrix else all(type(value) is int for value in values)
                bad = set() if is_whole and max(map(abs, values)) < 2**63 else set(range(len(rows)))
            else:
                bad = {row for row, kind in column.irregular(values).items() if kind == "f"}
                if is_matrix and any(other.irregular([row[other.position] for row in rows]) for other in columns):
                    bad = set(range(len(rows)))
            for row in sorted(bad):
                if not is_exact([values[row]]):
                    raise column.bad(row, f"{quoted(values[row])} cannot be represented exactly as a float64")

    def _turned(self, columns: dict[str, Any]) -> list[list[Any]]:
        """The rows of a mapping of column names to lists of values."""
        ordered = self._ordered(columns, None)
        for name, values in zip(self.names or [], ordered):
            if not isinstance(values, list):
                raise InputError(f"column {name!r}: expected a list of values, got {quoted(values)}", column=name)
            if len(values) != len(ordered[0]):
                first = (self.names or [])[0]
                counts = f"has {count(len(values))}, but column {first!r} has {len(ordered[0])}"
                raise InputError(f"column {name!r} {counts}", column=name)
        return [list(row) for row in zip(*ordered)]

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
            raise InputError(f"{where}: {self._without_names()}", row=number)
        if len(self._known) != len(self.names):
            raise InputError("two columns of the model have the same name; send rows as lists", row=number)
        if self._aliases:
            record = {self._aliases.get(name, name): value for name, value in record.items()}
        for name in record:
            if name not in self._known:
                near = get_close_matches(name, self.names, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"the columns are {', '.join(self.names)}"
                raise InputError(f"{where}: unknown column {quoted(name)}; {hint}", row=number, column=name)
        for name in self.names:
            if name not in record:
                raise InputError(f"{where}: column {name!r} is missing", row=number, column=name)
        return [record[name] for name in self.names]

    def _without_names(self) -> str:
        """What to send instead of a record."""
        if self.form == "texts":
            return "the model takes texts, not records; send a list of texts"
        lists = "the model was trained without column names; send rows as lists"
        return f"{lists}, or as texts if it takes texts" if self.takes_texts else lists

    def irregular(self, rows: list[Any]) -> list[Irregular]:
        """For each row, the columns whose trained dtype cannot hold its value, and the NumPy kind that can."""
        kinds: list[set[tuple[int, str]]] = [set() for _ in rows]
        for column in self.columns(len(rows[0])) if self.is_table else ():
            for row, kind in column.irregular([one[column.position] for one in rows]).items():
                kinds[row].add((column.position, kind))
        return [frozenset(one) for one in kinds]

    def to_input(
        self, rows: list[Any], interpretation: Interpretation = PLAIN, irregular: Irregular = frozenset()
    ) -> Any:
        """What the model is called with: a DataFrame if it was trained on one, a list of texts, or an array."""
        if not self.is_table:
            return rows
        columns = self.columns(len(rows[0]))
        if self.form == "texts" or (
            self.form is None
            and self.takes_texts
            and len(columns) == 1
            and all(isinstance(row[0], str) for row in rows)
        ):
            return [row[0] for row in rows]
        apart = {position for position, _ in irregular}
        parts = [
            cast(column, [row[column.position] for row in rows], interpretation, is_irregular=column.position in apart)
            for column in columns
        ]
        if self.form == "series":
            return self._frame(parts[:1]).iloc[:, 0]
        if self.form == "values":
            return parts[0]
        if self.is_frame:
            return self._frame(parts)
        matrix = _matrix(columns, parts, rows)
        if self.form == "sparse":
            import scipy.sparse

            return scipy.sparse.csr_matrix(matrix)
        return matrix

    def _frame(self, parts: list[Any]) -> Any:
        import pandas as pd

        frame = pd.DataFrame({place: pd.Series(part, dtype=part.dtype) for place, part in enumerate(parts)})
        labels = self._labels or self.names
        if labels is None:
            labels = [None] * len(parts)
        labels = [tuple(label) if isinstance(label, list) else label for label in labels]
        tuples = bool(labels) and all(isinstance(label, tuple) for label in labels)
        frame.columns = pd.MultiIndex.from_tuples(labels) if tuples else pd.Index(labels)
        return frame


def _matrix(columns: list[Column], parts: list[Any], rows: list[list[Any]]) -> Any:
    import numpy as np

    dtypes = {column.dtype for column in columns}
    kinds = {part.dtype.kind for part in parts}
    if len(dtypes) == 1 and None not in dtypes and len({part.dtype for part in parts}) == 1:
        return np.column_stack([np.asarray(part) for part in parts])
    if kinds <= set("iuf"):
        is_large = kinds <= set("iu") and any(abs(value) > 2**53 for row in rows for value in row)
        return np.column_stack([part.astype("int64" if is_large else "float64") for part in parts])
    matrix = np.empty((len(rows), len(parts)), dtype=object)
    for position, values in enumerate(parts):
        matrix[:, position] = values
    return matrix
