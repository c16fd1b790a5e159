"""The RunView: a run at one moment, as it is listed and shown, even if a file of its record is damaged."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from amlcore.errors import NotFoundError, RecordError, UnreadableError
from amlcore.record.contents import RecordContents
from amlcore.record.documents import RunInfo
from amlcore.record.record import Record
from amlcore.record.status import RunState, RunStatus
from amlcore.runs.reconcile import needs_reconciling, reconcile
from amlcore.worker.layout import NAME_TAG
from amlcore.worker.metrics import NOT_METRICS, last_by_name, last_records
from amlcore.worker.mlflow.journal import read_entries

DAMAGED = "Damaged"
"""The state that is shown of a run whose record is damaged."""


class RunView:
    """What is shown of a run; each file of its record is read once.

    Parameters
    ----------
    thorough : bool
        Read long files to their ends: `details` needs it.

    Raises
    ------
    NotFoundError
        The folder holds no run.
    UnreadableError
        The run belongs to another user, who lets nobody else read it.
    """

    def __init__(self, record: Record, *, thorough: bool = False) -> None:
        self._record = record
        status, failure = _bring_up_to_date(record)
        self._contents = RecordContents(record, thorough=thorough, status=status)
        self.damages = self._contents.damages or ([] if failure is None else [failure])

    def summary(self) -> dict[str, Any]:
        """The run as one row of a list; its keys are a contract. The state of a damaged one is Damaged.

        Raises
        ------
        NotFoundError
            The run was removed while it was read: then this may be half of it.
        """
        row = self._summary()
        if not self._record.is_present:
            raise NotFoundError(f"{self._record.folder} holds no run")
        return row

    def _summary(self) -> dict[str, Any]:
        info, status, folder = self._contents.info, self._contents.status, self._record.folder
        marks = self._contents.marks
        state = RunState.NotStarted if status is None else status.state
        return {
            "id": folder.name if info is None else info.id,
            "name": marks.name or last_by_name(self._last, "tag").get(NAME_TAG) or (info and info.name),
            "experiment": folder.parent.name if info is None else info.experiment,
            "parent": (folder.name.rpartition("_")[0] or None) if info is None else info.parent,
            "state": DAMAGED if self.damages else state.value,
            "reason": "; ".join(self.damages) if self.damages else status and status.reason,
            "script": None if info is None else info.script,
            "parameters": {**last_by_name(self._last, "parameter"), **({} if info is None else info.parameters)},
            "metrics": last_by_name(self._last, "scalar"),
            "tags": marks.over(last_by_name(self._last, "tag")),
            "note": marks.note,
            "archived": marks.archived,
            "model": self._contents.model,
            "attempt": self._record.attempt,
            "created": creation_time(self._record).isoformat() if info is None else str(info.created),
            "duration_s": None if status is None else duration_s(status),
            "user": info and info.user,
            "folder": str(folder),
        }

    @property
    def info(self) -> RunInfo | None:
        """What was known when the run was submitted; None if that is damaged."""
        return self._contents.info

    @property
    def status(self) -> RunStatus | None:
        return self._contents.status

    @property
    def is_sweep(self) -> bool:
        return os.path.exists(self._record.layout.sweep)

    @property
    def is_final(self) -> bool:
        """Whether nothing of the run changes any more, unless somebody changes it."""
        return not self.damages and self.status is not None and not needs_reconciling(self._record, self.status)

    def details(self, *, children: Sequence[str]) -> dict[str, Any]:
        """Everything that is recorded of the run; `thinned` counts the values of each series that is not whole."""
        contents, series = self._contents, self._contents.series
        assert series is not None  # the view is thorough
        info, environment = contents.info, contents.environment
        status = contents.status or RunStatus(RunState.NotStarted)
        recorded = {} if info is None else {"parent": None, "script": None, **info.document}
        return {
            **self.summary(),
            **{key: value for key, value in recorded.items() if key not in ("name", "parameters")},
            "exit_status": status.exit_status,
            "times": status.times,
            "usage": status.usage,
            "properties": last_by_name(series.records, "property"),
            "environment": {"name": info and info.environment} if environment is None else environment.document,
            "outputs": [asdict(file) for file in contents.outputs],
            "pruned": {part: entry for part, entry in asdict(contents.pruned).items() if entry is not None},
            "children": list(children),
            "datasets": _datasets(self._record),
            "series": [record for record in series.records if record["kind"] not in NOT_METRICS],
            "thinned": series.thinned,
            "damaged": self.damages,
        }

    @cached_property
    def _last(self) -> list[dict[str, Any]]:
        """The last record of each kind and name, in the order of time."""
        series = self._contents.series
        if series is None or series.damaged_lines:  # a damaged line must not hide the one before it
            return last_records(self._record.layout.metrics)
        return series.last


def _datasets(record: Record) -> list[dict[str, Any]]:
    """The datasets that the script named through MLflow, each once for every use."""
    datasets = {}
    for entry in read_entries(record.layout.mlflow):
        if entry["kind"] == "dataset":
            context = entry["tags"].get("mlflow.data.context")
            about = {key: entry[key] for key in ("name", "digest", "source_type", "source")}
            datasets[entry["name"], entry["digest"], context] = {**about, "context": context}
    return list(datasets.values())


def _bring_up_to_date(record: Record) -> tuple[RunStatus | None, str | None]:
    """Reconcile a run whose driver has exited.

    Returns
    -------
    tuple
        The status if it is final already, and why reconciling failed if the record is damaged.
    """
    try:
        status = record.status
        if not needs_reconciling(record, status):
            return status, None
        reconcile(record)
    except UnreadableError:
        raise
    except RecordError as error:
        return None, str(error)
    return None, None


def creation_time(record: Record) -> datetime:
    """When a run was created; by its id if its record is damaged."""
    try:
        return record.info.created.datetime
    except (RecordError, NotFoundError):
        pass
    try:
        return datetime.strptime(record.folder.name[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    except ValueError:  # somebody renamed the folder
        return datetime.fromtimestamp(0, UTC)


def duration_s(status: RunStatus) -> float | None:
    """Seconds from the script's start to its end, or until now; None before it started."""
    started = status.times.get(RunState.Running)
    if started is None:
        return None
    ended = status.times.get(RunState.Finalizing, status.at) if status.state.ended else time.time()
    return round(ended - started, 3)
