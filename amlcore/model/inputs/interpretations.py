"""What a request leaves open: the ways to read it. The model itself shows whether they differ."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .casting import Interpretation
from .columns import Column
from .errors import InputError, quoted
from .signature import Signature
from .times import is_day_or_month

TEXTUAL = ("text", "any", "number or text", "boolean or text")
"""Kinds of columns whose texts the model itself may parse."""


def interpretations(signature: Signature, rows: list[Any]) -> list[tuple[Interpretation, InputError]]:
    """Each way to read `rows` besides the plain one, with the error to raise if it changes the answer."""
    alternatives: list[tuple[Interpretation, InputError]] = []
    for column in signature.columns(len(rows[0])) if signature.is_table else ():
        values = [row[column.position] for row in rows]
        row = column.unknown(values)
        if row is not None:
            message = f"{quoted(values[row])} is not one of the categories that the model was trained on"
            alternatives.append((Interpretation(unknown_is_missing=True), column.bad(row, message)))
        nulls = column.nulls(values)[1:]
        message = (
            "null may stand for None or for NaN here, and the model's answers differ; log a sample that has a "
            "missing value in this column with run.log_sample(X)"
        )
        alternatives += [(Interpretation(null=null), column.bad(values.index(None), message)) for null in nulls]
    return alternatives


def fallbacks(signature: Signature, rows: list[Any]) -> list[Interpretation]:
    """What to try if the model refuses the plain interpretation: only columns of unknown type are read differently."""
    if not signature.is_table:
        return []
    alternatives = []
    columns = [one for one in signature.columns(len(rows[0])) if one.dtype is None]
    cells = [[row[column.position] for row in rows] for column in columns]
    gaps = any(column.kind == "any" and all(one is None for one in values) for column, values in zip(columns, cells))
    if gaps:
        alternatives.append(Interpretation(gaps_are_objects=True))
    if any(all(type(one) is int for one in values) for values in cells):
        alternatives.append(Interpretation(whole_are_floats=True))
        if gaps:
            alternatives.append(Interpretation(whole_are_floats=True, gaps_are_objects=True))
    return alternatives


def ambiguous_dates(signature: Signature, rows: list[Any]) -> list[tuple[int, list[int], Callable[[int], InputError]]]:
    """The dates of each column that the model's own code may read differently next to other rows.

    pandas infers from the first date of a column whether the day or the month comes first in all of them.

    Returns
    -------
    list
        The column's position, the places of the dates in `rows`, and a function that makes the error for one of them.
    """
    dates: list[tuple[int, list[int], Callable[[int], InputError]]] = []
    for column in signature.columns(len(rows[0])) if signature.is_table and signature.form != "texts" else ():
        if column.is_category or column.kind not in TEXTUAL:
            continue
        values = [row[column.position] for row in rows]
        places = [place for place, value in enumerate(values) if isinstance(value, str) and is_day_or_month(value)]
        if places:
            dates.append((column.position, places, partial(_ambiguous, column, values)))
    return dates


def _ambiguous(column: Column, values: list[Any], place: int) -> InputError:
    message = (
        f"{quoted(values[place])} may have its day or its month first, and the model reads it by the rows next to it; "
        "send a date such as 2025-04-03"
    )
    return column.bad(place, message)
