"""Encodes the rows of a valid request as one float64 matrix for the fast paths; the model answers the others."""

from __future__ import annotations

from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np

from ..errors import NotHandled
from ..inputs.signature import Signature
from ..paths.encoders import UNKNOWN
from ..paths.path import HUGE, MAX_EXACT_FLOAT, is_tame
from ..paths.preparation import Preparation

NUMBERS = frozenset((int, float))

AT_ONCE = 4096
"""Rows that numpy converts in one call: it holds the interpreter lock meanwhile, which delays health checks."""


def _matrix(rows: list[Any], width: int) -> Any:
    """An array of rows of `width` cells each; numpy would look at each cell twice if it were given the rows."""
    if len(rows) > AT_ONCE:
        parts = [_matrix(rows[begin : begin + AT_ONCE], width) for begin in range(0, len(rows), AT_ONCE)]
        return np.concatenate(parts)
    cells = rows[0] if len(rows) == 1 else chain.from_iterable(rows)
    return np.fromiter(cells, np.float64, len(rows) * width).reshape(-1, width)


class RowEncoder:
    """Encodes rows for a preparation; raises NotHandled for what `Signature.read` explains or the model answers."""

    def __init__(self, signature: Signature, preparation: Preparation, missing: list[bool]) -> None:
        """`missing`: for each column, whether the model accepts null."""
        self._width = len(missing)
        self._names = signature.names
        self._takes = set(signature.names or ())
        self._ordered = itemgetter(*self._names) if self._names and len(self._names) > 1 else None
        self._texts = [
            (position, coding.codes, missing[position])
            for position, coding in enumerate(preparation.codings)
            if coding.is_text
        ]
        self._booleans = [
            (position, missing[position]) for position, coding in enumerate(preparation.codings) if coding.is_boolean
        ]
        self._codes = bool(self._texts or self._booleans)
        columns = signature.columns(self._width)
        self._is_float = np.array([(column.dtype or "").lower().startswith("float") for column in columns])
        self._forbidden = ~np.array(missing)
        self._types = NUMBERS | {type(None)} if any(missing) else NUMBERS

    def matrix(self, data: Any, *, is_numeric: bool = False) -> Any:
        """The coded rows of `data`; `is_numeric` says that it is known to hold nothing but lists and numbers.

        Raises
        ------
        NotHandled
            The rows are wrong, or not of the plain kind.
        """
        is_known = is_numeric and not self._codes
        # anything other than lists of numbers is caught below: it has another length, or none
        is_plain = is_known and type(data) is list and data and type(data[0]) is list
        rows = data if is_plain else self._rows(data)
        try:
            if (len(rows) > 1 and set(map(len, rows)) != {self._width}) or len(rows[0]) != self._width:
                raise NotHandled
            if self._codes:
                rows = [self._coded(row) for row in rows]
            if not is_known and not set(map(type, chain.from_iterable(rows))) <= self._types:
                raise NotHandled
            matrix = _matrix(rows, self._width)
        except (TypeError, ValueError, OverflowError):
            raise NotHandled from None
        if not is_tame(matrix, MAX_EXACT_FLOAT):
            self._check(matrix)
        return matrix

    def row(self, data: Any) -> list[float] | None:
        """The only row of `data`, which is known to hold nothing but lists and numbers.

        None if there are more rows, or if `matrix` must encode or refuse the row.
        """
        try:
            row = data[0]
            if (
                len(data) > 1
                or len(row) != self._width
                or self._codes
                or min(row) <= -MAX_EXACT_FLOAT
                or max(row) >= MAX_EXACT_FLOAT
            ):
                return None
        except (TypeError, LookupError):  # not a list, without rows, or with lists as cells
            return None
        return row  # type: ignore[no-any-return]

    def _rows(self, data: Any) -> list[Any]:
        """The rows of `data` as lists, whichever form they have."""
        kind = type(data)
        if kind is dict:
            if self._names is None or data.keys() != self._takes:
                raise NotHandled
            values = [data[name] for name in self._names]
            if type(values[0]) is not list:
                return [values]
            if set(map(type, values)) != {list} or len(set(map(len, values))) != 1 or not values[0]:
                raise NotHandled
            return [list(row) for row in zip(*values)]
        if kind is not list or not data:
            raise NotHandled
        kinds = set(map(type, data))
        if kinds == {list}:
            return data  # type: ignore[no-any-return]
        if kinds == {dict} and self._names is not None:
            return [self._record(record) for record in data]
        if list in kinds or dict in kinds:
            raise NotHandled
        return [data]

    def _record(self, record: dict[str, Any]) -> list[Any]:
        if record.keys() != self._takes or self._names is None:
            raise NotHandled
        if self._ordered is None:
            return [record[self._names[0]]]
        return list(self._ordered(record))

    def _coded(self, row: list[Any]) -> list[Any]:
        cells = row.copy()
        for position, codes, takes_null in self._texts:
            value = cells[position]
            if type(value) is not str and not (value is None and takes_null):
                raise NotHandled
            cells[position] = codes.get(value, UNKNOWN)
        for position, takes_null in self._booleans:
            value = cells[position]
            if value is None and takes_null:
                continue
            if type(value) is not bool:
                raise NotHandled
            cells[position] = 1 if value else 0
        return cells

    def _check(self, matrix: Any) -> None:
        """Raise NotHandled if a number is too large, or missing in a column that does not accept null."""
        gaps, sizes = np.isnan(matrix), np.abs(matrix)
        if (gaps.any(axis=0) & self._forbidden).any() or not (sizes[~gaps] < HUGE).all():
            raise NotHandled
        if ((sizes >= MAX_EXACT_FLOAT).any(axis=0) & ~self._is_float).any():  # float64 may have rounded the integer
            raise NotHandled
