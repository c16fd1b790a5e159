"""What a request leaves open: the ways to understand it, of which the model tells whether they differ."""

from __future__ import annotations

from typing import Any

from . import times
from .casting import Interpretation
from .errors import RequestError, quoted
from .signature import Signature

TEXTUAL = ("text", "any", "number or text", "boolean or text")
"""Kinds of columns whose texts the model itself may parse."""


def interpretations(signature: Signature, rows: list[Any]) -> list[tuple[Interpretation, RequestError]]:
    """Beside the plain one, each way to understand `rows`, with the error where it makes a difference."""
    alternatives: list[tuple[Interpretation, RequestError]] = []
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
    """What to try where the model refuses the plain interpretation: only what is not known of a column differs."""
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


def ambiguous_dates(signature: Signature, rows: list[Any]) -> list[tuple[list[Any], list[int], RequestError]]:
    """Whether the model's own code reads dates by those beside them has to be seen: by rows to ask it for.

    pandas takes the first date of a column to tell whether all of them have the day or the month first.

    Returns
    -------
    list
        Rows whose first one was made up, the places in `rows` of the others, and the error if they are answered
        otherwise than there.
    """
    trials = []
    for column in signature.columns(len(rows[0])) if signature.is_table else ():
        if column.is_category or column.kind not in TEXTUAL:
            continue
        values = [row[column.position] for row in rows]
        dates = [times.unambiguous_dates(value) if isinstance(value, str) else () for value in values]
        places = [place for place, pair in enumerate(dates) if pair]
        for place in places[:1]:
            error = column.bad(
                place,
                f"{quoted(values[place])} may have its day or its month first, and the model reads it by the rows "
                "beside it; send a date such as 2025-04-03",
            )
            for date in dates[place]:
                first = [*rows[place][: column.position], date, *rows[place][column.position + 1 :]]
                trials.append(([first, *(rows[other] for other in places)], places, error))
    return trials
