"""Finds the row and the column of a request that a model refuses."""

from __future__ import annotations

import logging
import time
from typing import Any

from ..inputs.errors import InputError
from ..inputs.reference_model import Miscounted, ReferenceModel, is_refusal

log = logging.getLogger("bentoml.serve")

MOST_ROWS, MOST_COLUMNS = 1000, 100
SEARCHED_S = 0.25
"""The time limit of the search: a refused request must not cost much more than an answered one."""


def score_or_explain(reference: ReferenceModel, method: str, rows: list[Any]) -> Any:
    """The model's answer.

    Raises
    ------
    InputError
        It refuses a row; the message quotes the model, and names the row and column if they are found in time.
    """
    try:
        return reference.score(method, rows)
    except Miscounted as error:
        raise _count_error(reference, method, rows, error) from error
    except InputError:
        raise
    except Exception as error:
        if not is_refusal(error):
            raise
        raise _refusal_error(reference, method, rows, error) from error


def _count_error(reference: ReferenceModel, method: str, rows: list[Any], error: Miscounted) -> InputError:
    row = _first_refused(reference, method, rows)
    if row is not None:
        return InputError(f"the model does not return one result for row {row}: {error}", row=row)
    log.error("%s", error)
    return InputError(str(error), status=500)


def _refusal_error(reference: ReferenceModel, method: str, rows: list[Any], error: Exception) -> InputError:
    reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    row = _first_refused(reference, method, rows)
    if row is None:
        return InputError(f"the model refuses these rows: {reason}")
    column = _refused_column(reference, method, rows, row)
    if column is None:
        return InputError(f"the model refuses row {row}: {reason}", row=row)
    label = reference.signature.columns(len(rows[row]))[column].label
    is_null = " is null" if rows[row][column] is None else ""
    return InputError(
        f"the model refuses these rows: {reason} (row {row}, column {label!r}{is_null})", row=row, column=label
    )


def _first_refused(reference: ReferenceModel, method: str, rows: list[Any]) -> int | None:
    if len(rows) == 1:
        return 0 if not reference.takes(method, rows) else None
    until = time.perf_counter() + SEARCHED_S
    for place in range(min(len(rows), MOST_ROWS)):
        if time.perf_counter() > until:
            break
        if not reference.takes(method, rows[place : place + 1]):
            return place
    return None


def _refused_column(reference: ReferenceModel, method: str, rows: list[Any], row: int) -> int | None:
    """The column the model refuses: with a value of another row, of the sample, or 0 there, it accepts the row."""
    if not reference.signature.is_table or not 1 < len(rows[row]) <= MOST_COLUMNS:
        return 0 if reference.signature.is_table and len(rows[row]) == 1 else None
    until = time.perf_counter() + SEARCHED_S
    order = sorted(range(len(rows[row])), key=lambda place: rows[row][place] is not None)  # nulls are the common cause
    for place in order:
        for value in _others(reference, rows, row, place):
            if time.perf_counter() > until:
                return None
            if reference.takes(method, [[*rows[row][:place], value, *rows[row][place + 1 :]]]):
                return place
    return None


def _others(reference: ReferenceModel, rows: list[Any], row: int, place: int) -> list[Any]:
    """One or two values to try in place of a suspected one."""
    sampled = reference.signature.example(place, len(rows[row]))
    others = [one[place] for one in rows if one[place] is not None and one[place] != rows[row][place]]
    return [*sampled, *others[:1], 0.0][:2]
