"""Find the runs that a filter describes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from amlcore.index.filter_parser import parse
from amlcore.index.index import RunIndex
from amlcore.index.lexer import FilterError
from amlcore.index.predicates import compile_filter, number_of
from amlcore.index.row import RunRow
from amlcore.index.row_columns import RowColumn, column_of, sort_name
from amlcore.index.syntax import FilterName, names_in
from amlcore.log import Log
from amlcore.workspace import Workspace

_OF_CHILDREN = {"parent", "kind", "trial"}
"""A filter that names one of these fields is about children too."""


@dataclass(frozen=True)
class Matches:
    """The rows that match, in order.

    Attributes
    ----------
    skipped : dict of str to str
        Why a run could not be read, by its place.
    names : tuple of str
        The names that it is sorted by, and that the filter compares.
    """

    rows: list[RunRow]
    skipped: dict[str, str]
    names: tuple[str, ...]


def find(
    workspace: Workspace,
    where: str | None = None,
    *,
    experiment: str | None = None,
    children: bool = False,
    archived: bool = False,
    sort: str | None = None,
    ascending: bool = False,
    log: Log | None = None,
) -> Matches:
    """Find runs: newest first, or sorted; those without the value, or with NaN, come last.

    Parameters
    ----------
    where : str, optional
        A filter such as `accuracy > 0.9 and user = anna`, see docs/find.md.
    children, archived : bool
        Find these too; a filter that names `parent`, `kind` or `trial`, or `archived`, does so by itself.
    sort : str, optional
        A metric, a field or a parameter; the highest comes first.
    log : callable, optional
        Takes a line before something that takes long.

    Raises
    ------
    FilterError
        The filter is not one, or names what does not exist.
    """
    expression = None if where is None else parse(where)
    names = [] if expression is None else names_in(expression)
    fields = {name.text for name in names if name.namespace in (None, "run")}
    index = RunIndex(workspace, experiment=experiment, children=children or bool(fields & _OF_CHILDREN), log=log)
    rows = list(index.look().values())
    if experiment is not None and not rows:
        return Matches([], index.skipped, ())
    matching: Iterable[RunRow] = rows
    if expression is not None and where is not None:
        matching = filter(compile_filter(expression, source=where, rows=rows), matching)
    if not archived and "archived" not in fields:
        places = {row.place for row in rows if row.archived}
        matching = (row for row in matching if not _is_within(row.place, places))
    ordered = sorted(matching, key=lambda row: (row.created_s, row.id), reverse=True)
    if sort is not None:
        names.insert(0, sort_name(sort, rows))
        ordered = order(ordered, _sort_column(names[0], rows), ascending=ascending)
    return Matches(ordered, index.skipped, tuple(name.text for name in names))


def _sort_column(name: FilterName, rows: list[RunRow]) -> RowColumn:
    try:
        return column_of(name, rows)
    except FilterError as error:
        raise FilterError(f"--sort {name}: {error}") from None


def _is_within(place: str, places: set[str]) -> bool:
    """Whether a run is one of those at `places`, or a child of one."""
    while place and places:
        if place in places:
            return True
        place = place.rpartition("_")[0]
    return False


def order(rows: list[RunRow], column: RowColumn, *, ascending: bool) -> list[RunRow]:
    """Sort by a column: numbers, then texts, then what is NaN, then rows without the value."""
    numbers: list[tuple[Any, RunRow]] = []
    texts: list[tuple[str, RunRow]] = []
    nans, others = [], []
    for row in rows:
        value = column.get(row)
        number = number_of(value) if not isinstance(value, bool) else int(value)
        if number is not None and number == number:  # noqa: PLR0124 - not NaN
            numbers.append((number, row))
        elif number is not None:
            nans.append(row)
        elif value is None:
            others.append(row)
        else:
            texts.append((str(value), row))
    sort = partial(sorted, key=lambda pair: pair[0], reverse=not ascending)
    return [row for _, row in (*sort(numbers), *sort(texts))] + nans + others
