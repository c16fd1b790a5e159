"""The RunRow: one run as lists, filters and pages need it."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any

from amlcore.runs.view import RunView


class RunKind(StrEnum):
    """What a run is beside others."""

    run = "run"
    sweep = "sweep"
    trial = "trial"  # of a sweep
    child = "child"  # that the script of another run started


@dataclass(eq=False, slots=True)
class RunRow:
    """One run at one moment; do not change it, since the index keeps the rows of ended runs.

    What was logged is kept as JSON until it is asked for: a filter needs little of it.
    """

    place: str  # EXPERIMENT/RUN, the run's folder in outputs/
    parameters_json: str
    metrics_json: str
    tags_json: str
    id: str
    experiment: str
    parent: str | None
    kind: str  # a RunKind
    trial: int | None  # its number, if it is a trial
    state: str  # a RunState, or Damaged
    reason: str | None
    script: str | None
    model: str | None
    attempt: int
    created: str  # ISO 8601
    created_s: float  # in seconds since the epoch, as are the next two
    started_s: float | None
    ended_s: float | None
    duration_s: float | None
    user: str | None
    host: str | None
    name: str | None
    note: str | None
    archived: bool
    _parameters: dict[str, Any] | None = None
    _metrics: dict[str, Any] | None = None
    _tags: dict[str, Any] | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        if self._parameters is None:
            self._parameters = _values(self.parameters_json)
        return self._parameters

    @property
    def metrics(self) -> dict[str, Any]:
        """The last value of each."""
        if self._metrics is None:
            self._metrics = _values(self.metrics_json)
        return self._metrics

    @property
    def tags(self) -> dict[str, Any]:
        if self._tags is None:
            self._tags = _values(self.tags_json)
        return self._tags

    @property
    def has_ended(self) -> bool:
        return self.ended_s is not None

    def summary(self, outputs: str) -> dict[str, Any]:
        """The run as one row of `aml runs --json`; `outputs` is the workspace's folder of runs."""
        return {**{key: getattr(self, key) for key in SUMMARY_KEYS}, "folder": f"{outputs}/{self.place}"}


SUMMARY_KEYS = (
    "id",
    "name",
    "experiment",
    "parent",
    "state",
    "reason",
    "script",
    "parameters",
    "metrics",
    "tags",
    "note",
    "archived",
    "model",
    "attempt",
    "created",
    "duration_s",
    "user",
)

FIELDS = tuple(field.name for field in fields(RunRow) if field.name[0] != "_")

facts_of = attrgetter(*FIELDS[4:])
"""The values of the fields of a row behind the first four, in their order."""

_decode = json.JSONDecoder().raw_decode  # without the checks of json.loads


def row_from_json(place: str, facts: str, parameters: str, metrics: str, tags: str) -> RunRow:
    """The row whose `facts_of` are the JSON `facts`."""
    values: list[Any] = _decode(facts)[0]
    return RunRow(place, parameters, metrics, tags, *values)


def _values(text: str) -> dict[str, Any]:
    values: dict[str, Any] = _decode(text)[0]
    return values


def to_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def row_of(view: RunView, *, place: str) -> RunRow:
    """The row of the run that `view` shows."""
    summary, info, status = view.summary(), view.info, view.status
    times = {} if status is None else status.times
    ended = None if status is None or not status.state.ended else times.get(status.state, status.at)
    trial = None if info is None else info.trial
    if view.is_sweep:
        kind = RunKind.sweep
    elif summary["parent"] is None:
        kind = RunKind.run
    else:
        kind = RunKind.child if trial is None else RunKind.trial
    shown: dict[str, Any] = {key: summary[key] for key in SUMMARY_KEYS if key in FIELDS}
    return RunRow(
        place=place,
        parameters_json=to_json(summary["parameters"]),
        metrics_json=to_json(summary["metrics"]),
        tags_json=to_json(summary["tags"]),
        **shown,
        kind=kind,
        trial=trial,
        created_s=datetime.fromisoformat(summary["created"]).timestamp(),
        started_s=times.get("Running"),
        ended_s=ended,
        host=None if info is None else info.document.get("host"),
    )
