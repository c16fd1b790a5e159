"""A row of the index as MLflow's filters and orders look at a run, so that only the runs of one page are converted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from amlcore.index.row import RunRow
from amlcore.worker.mlflow.folders import STATUSES
from amlcore.worker.values import text

T = TypeVar("T")


class ListedRun:
    """Stands in for MLflow's Run where runs are filtered and ordered; it is its own `info` and `data`."""

    __slots__ = ("row",)

    def __init__(self, row: RunRow) -> None:
        self.row = row

    @property
    def info(self) -> ListedRun:
        return self

    @property
    def data(self) -> ListedRun:
        return self

    @property
    def run_id(self) -> str:
        return self.row.id

    @property
    def experiment_id(self) -> str:
        return self.row.experiment

    @property
    def lifecycle_stage(self) -> str:
        return "deleted" if self.row.archived else "active"

    @property
    def user_id(self) -> str:
        return self.row.user or ""

    @property
    def status(self) -> str:
        return STATUSES.get(self.row.state, "FAILED")

    @property
    def start_time(self) -> int:
        return int(1000 * (self.row.started_s or self.row.created_s))

    @property
    def end_time(self) -> int | None:
        return None if self.row.ended_s is None else int(1000 * self.row.ended_s)

    @property
    def run_name(self) -> str:
        return name_of(self.row)

    @property
    def artifact_uri(self) -> str:
        return self.row.place

    @property
    def metrics(self) -> Converted[float]:
        return Converted(self.row.metrics, _number)

    @property
    def params(self) -> Converted[str]:
        return Converted(self.row.parameters, text)

    @property
    def tags(self) -> dict[str, str]:
        return tags_of(self.row)


class Converted(Generic[T]):
    """The values of a mapping in another form, each converted when it is asked for."""

    __slots__ = ("_convert", "_values")

    def __init__(self, values: Mapping[str, Any], convert: Callable[[Any], T | None]) -> None:
        self._values = values
        self._convert = convert

    def get(self, name: str, default: T | None = None) -> T | None:
        return self._convert(self._values[name]) if name in self._values else default


def name_of(row: RunRow) -> str:
    """What the page calls a run: the name that somebody gave it, or its trial's number, or what tells its id."""
    return short_name(row.name or (row.id if row.trial is None else f"trial {row.trial}"))


def short_name(name: str) -> str:
    """The part of an id that tells it from others: the page has room for 14 letters, and shows the date beside it."""
    match = re.fullmatch(r"\d{8}-(?P<moment>\d{6}-[0-9a-f]{6})(?:_\d+)*?(?:_(?P<child>\d+))?", name)
    if match is None:
        return name
    return match["moment"] if match["child"] is None else f"child {match['child']}"


def tags_of(row: RunRow) -> dict[str, str]:
    """The tags of a run as the page finds them."""
    own = {
        "mlflow.runName": name_of(row),
        "mlflow.parentRunId": row.parent,
        "mlflow.user": row.user,
        "mlflow.source.name": row.script,
        "mlflow.note.content": row.note,
        "amlcore.model": row.model,
        "amlcore.reason": row.reason,
    }
    return {**{key: text(value) for key, value in row.tags.items()}, **{key: tag for key, tag in own.items() if tag}}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
