"""The RunRow: one run as lists, filters and pages need it."""

from __future__ import annotations

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
    """One run at one moment; do not change it, since the index keeps the rows of ended runs."""

    place: str  # EXPERIMENT/RUN, the run's folder in outputs/
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
    parameters: dict[str, Any]
    metrics: dict[str, Any]  # the last value of each
    tags: dict[str, Any]

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

FIELDS = tuple(field.name for field in fields(RunRow))

document_of = attrgetter(*FIELDS[1:])
"""The values of all fields of a row but its place, in their order."""


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
    shown: dict[str, Any] = {key: summary.get(key) for key in SUMMARY_KEYS if key not in ("tags", "archived", "user")}
    return RunRow(
        place=place,
        **shown,
        kind=kind,
        trial=trial,
        created_s=datetime.fromisoformat(summary["created"]).timestamp(),
        started_s=times.get("Running"),
        ended_s=ended,
        user=None if info is None else info.user,
        host=None if info is None else info.document.get("host"),
        archived=summary.get("archived", False),
        tags=summary.get("tags", {}),
    )
