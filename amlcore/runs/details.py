"""What is told of a run: a row of a list, or all that is recorded, also where a file of its record is damaged."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TypeVar

from amlcore.errors import NotFoundError, RecordError, UnreadableError
from amlcore.record.documents import OutputFile
from amlcore.record.inspection import inspect_record
from amlcore.record.record import Record
from amlcore.record.status import RunState, RunStatus
from amlcore.runs.models import last_model
from amlcore.runs.reconcile import reconcile
from amlcore.worker.metrics import last_by_name, last_values, thinned

DAMAGED = "Damaged"
"""What a list says in place of the state of a run whose record is not what was written."""

T = TypeVar("T")


def summary(record: Record) -> dict[str, Any]:
    """The run as one row of a list; its keys are a contract."""
    reconcile(record)
    status, info = record.status, record.info
    return {
        "id": info.id,
        "experiment": info.experiment,
        "parent": info.parent,
        "state": status.state.value,
        "reason": status.reason,
        "script": info.script,
        "parameters": info.parameters,
        "metrics": last_values(record.layout.metrics, "scalar"),
        "model": last_model(record),
        "attempt": record.attempt,
        "created": info.created,
        "duration_s": duration_s(status),
        "folder": str(record.folder),
    }


def row(record: Record) -> dict[str, Any]:
    """`summary()`, which is there for a run whose record is damaged too: its state is Damaged then, and why."""
    return _marked(record, inspect_record(record, thorough=False))


def details(record: Record, *, children: Sequence[str]) -> dict[str, Any]:
    """All that is recorded of the run; of a series of very many values evenly some, and `thinned` says how many."""
    damaged = inspect_record(record)
    found, info = _marked(record, damaged), _intact(lambda: record.info, None)
    written = {} if info is None else {"parent": None, "script": None, **info.document}
    status = _intact(lambda: record.status, RunStatus(RunState.NotStarted))
    environment = _intact(lambda: record.environment, None)
    nothing: list[OutputFile] = []
    records, left_out = thinned(record.layout.metrics)
    return {
        **found,
        **{key: value for key, value in written.items() if key != "parameters"},
        "exit_status": status.exit_status,
        "times": status.times,
        "usage": status.usage,
        "tags": last_by_name(records, "tag"),
        "properties": last_by_name(records, "property"),
        "environment": {"name": None if info is None else info.environment}
        if environment is None
        else environment.document,
        "outputs": [asdict(file) for file in _intact(lambda: record.outputs, nothing)],
        "children": list(children),
        "series": [record for record in records if record["kind"] not in ("tag", "property")],
        "thinned": left_out,
        "damaged": damaged,
    }


def created(record: Record) -> datetime:
    """When a run was created; where its record is damaged, as far as its id tells."""
    try:
        return record.info.created.datetime
    except (RecordError, NotFoundError):
        pass
    try:
        return datetime.strptime(record.folder.name[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    except ValueError:  # somebody has given the folder another name
        return datetime.fromtimestamp(0, UTC)


def duration_s(status: RunStatus) -> float | None:
    """Seconds from the script's start to its end, or until now; None before it began."""
    begun = status.times.get(RunState.Running)
    if begun is None:
        return None
    ended = status.times.get(RunState.Finalizing, status.at) if status.state.ended else time.time()
    return round(ended - begun, 3)


def _marked(record: Record, damaged: list[str]) -> dict[str, Any]:
    try:
        found = summary(record)
    except UnreadableError:
        raise
    except RecordError as error:
        damaged = damaged or [str(error)]
        found = _known(record)
    return {**found, "state": DAMAGED, "reason": "; ".join(damaged)} if damaged else found


def _known(record: Record) -> dict[str, Any]:
    """What can be told of a run whose record cannot be read as a whole."""
    info, status = _intact(lambda: record.info, None), _intact(lambda: record.status, None)
    folder = record.folder
    return {
        "id": record.folder.name,
        "experiment": folder.parent.name if info is None else info.experiment,
        "parent": (folder.name.rpartition("_")[0] or None) if info is None else info.parent,
        "state": DAMAGED,
        "reason": None,
        "script": None if info is None else info.script,
        "parameters": {} if info is None else info.parameters,
        "metrics": last_values(record.layout.metrics, "scalar"),
        "model": last_model(record),
        "attempt": record.attempt,
        "created": created(record).isoformat(),
        "duration_s": None if status is None else duration_s(status),
        "folder": str(record.folder),
    }


def _intact(read: Callable[[], T], otherwise: T) -> T:
    """What `read` finds; `otherwise` where the file of it is damaged, which is told elsewhere."""
    try:
        return read()
    except (RecordError, NotFoundError):
        return otherwise
