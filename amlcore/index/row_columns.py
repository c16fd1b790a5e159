"""The columns of the index: what a name in a filter, or behind --sort, means in a workspace."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from operator import attrgetter
from typing import Any

from amlcore.index.lexer import FilterError
from amlcore.index.row import RunKind, RunRow
from amlcore.index.syntax import NAMESPACES, FilterName
from amlcore.record.status import EARLY_TERMINATION, RunState
from amlcore.runs.view import DAMAGED

_SHOWN_NAMES = 12

PRUNED = "Pruned"
"""How lists show a trial that its sweep stopped early; its state is Canceled."""


class ColumnType(Enum):
    """How the values of a column compare."""

    value = "value"  # whatever was logged, each value by its own type
    text = "text"
    choice = "choice"
    boolean = "boolean"
    number = "number"
    duration = "duration"  # in seconds
    moment = "moment"  # in seconds since the epoch


@dataclass(frozen=True)
class RowColumn:
    """A value of each row, or None where the row has none."""

    name: str
    type: ColumnType
    get: Callable[[RunRow], Any]
    choices: tuple[str, ...] = ()


def _field(name: str, type_: ColumnType, attribute: str | None = None, choices: tuple[str, ...] = ()) -> RowColumn:
    return RowColumn(name, type_, attrgetter(attribute or name), choices)


def _age_s(row: RunRow) -> float:
    return time.time() - row.created_s


def _state(row: RunRow) -> str:
    is_pruned = row.state == RunState.Canceled and (row.reason or "").startswith(EARLY_TERMINATION)
    return PRUNED if is_pruned else row.state


FIELDS = {
    column.name: column
    for column in (
        _field("id", ColumnType.text),
        _field("name", ColumnType.text),
        _field("note", ColumnType.text),
        _field("experiment", ColumnType.text),
        _field("script", ColumnType.text),
        _field("user", ColumnType.text),
        _field("host", ColumnType.text),
        _field("model", ColumnType.text),
        _field("parent", ColumnType.text),
        RowColumn("state", ColumnType.choice, _state, (*RunState, PRUNED, DAMAGED)),
        _field("reason", ColumnType.text),
        _field("kind", ColumnType.choice, choices=tuple(RunKind)),
        _field("archived", ColumnType.boolean),
        _field("created", ColumnType.moment, "created_s"),
        _field("started", ColumnType.moment, "started_s"),
        _field("ended", ColumnType.moment, "ended_s"),
        RowColumn("age", ColumnType.duration, _age_s),
        _field("duration", ColumnType.duration, "duration_s"),
        _field("attempt", ColumnType.number),
        _field("trial", ColumnType.number),
    )
}
FIELDS["duration_s"] = FIELDS["duration"]

_decode = json.JSONDecoder().raw_decode

_ATTRIBUTES = {"metrics": "metrics", "params": "parameters", "tags": "tags"}
_SINGULAR = {"metrics": "a metric", "params": "a parameter", "tags": "a tag"}


def column_of(name: FilterName, rows: Collection[RunRow]) -> RowColumn:
    """The column that a name in a filter means.

    A name alone is a field of the run, such as `user`, otherwise the metric, parameter or tag of the rows that is
    called so.

    Raises
    ------
    FilterError
        There is none, or there are several.
    """
    if name.namespace == "run":
        if name.text not in FIELDS:
            raise FilterError(f"a run has no field '{name.text}'; {_suggestion(name.text, FIELDS)}")
        return FIELDS[name.text]
    if name.namespace is not None:
        if not _is_logged(name.namespace, name.text, rows):
            logged = sorted(_logged_names(name.namespace, rows))
            what = _SINGULAR[name.namespace]
            raise FilterError(f"no run here has {what} '{name.text}'; {_suggestion(name.text, logged)}")
        return _logged(name.namespace, name.text)
    if name.text in FIELDS:
        return FIELDS[name.text]
    namespaces = [namespace for namespace in _ATTRIBUTES if _is_logged(namespace, name.text, rows)]
    if not namespaces:
        raise FilterError(f"no run here has a metric, parameter or tag '{name.text}'; {_nearest(name.text, rows)}")
    if len(namespaces) > 1:
        kinds = " and ".join(_SINGULAR[namespace] for namespace in namespaces)
        choices = " or ".join(str(FilterName(namespace, name.text, 0)) for namespace in namespaces)
        raise FilterError(f"'{name.text}' is {kinds} here; write {choices}")
    return _logged(namespaces[0], name.text)


def sort_name(text: str, rows: Collection[RunRow]) -> FilterName:
    """The name behind --sort: a metric comes before a field, a parameter and a tag that are called the same."""
    prefix, dot, rest = text.partition(".")
    namespace = NAMESPACES.get(prefix.lower()) if dot else None
    if namespace is not None and rest:
        return FilterName(namespace, rest, 0)
    return FilterName("metrics" if _is_logged("metrics", text, rows) else None, text, 0)


def _logged(namespace: str, name: str) -> RowColumn:
    values, text = attrgetter(_ATTRIBUTES[namespace]), attrgetter(f"{_ATTRIBUTES[namespace]}_json")
    key = f"{json.dumps(name)}:"

    def get(row: RunRow) -> Any:
        """The value; where no mapping is within the other, it is parsed alone, in a fifth of the time."""
        json_text = text(row)
        place = json_text.find(key)
        if place == -1:
            return None
        if json_text.find("{", 1) != -1:
            return values(row).get(name)
        return _decode(json_text, place + len(key))[0]

    return RowColumn(str(FilterName(namespace, name, 0)), ColumnType.value, get)


def _is_logged(namespace: str, name: str, rows: Collection[RunRow]) -> bool:
    """Whether a row has the name; most are not parsed for that, since a name that is there is in the text."""
    values, text = attrgetter(_ATTRIBUTES[namespace]), attrgetter(f"{_ATTRIBUTES[namespace]}_json")
    key = f"{json.dumps(name)}:"
    return any(key in text(row) and name in values(row) for row in rows)


def _logged_names(namespace: str, rows: Collection[RunRow]) -> set[str]:
    return set().union(*map(attrgetter(_ATTRIBUTES[namespace]), rows))


def _nearest(name: str, rows: Collection[RunRow]) -> str:
    if not rows:
        return "there are no runs yet"
    logged = {logged for namespace in _ATTRIBUTES for logged in _logged_names(namespace, rows)}
    return _suggestion(name, [*sorted(logged), *FIELDS])


def _suggestion(name: str, choices: Collection[str]) -> str:
    """The nearest of `choices`, and some of them: there may be hundreds."""
    if not choices:
        return "there are none"
    near = get_close_matches(name, choices, n=1)
    names = list(choices)
    shown = ", ".join(names[:_SHOWN_NAMES]) + (f" and {len(names) - _SHOWN_NAMES} more" if names[_SHOWN_NAMES:] else "")
    return f"did you mean '{near[0]}'? Available: {shown}" if near else f"available: {shown}"
