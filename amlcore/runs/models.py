"""The models registered from a run, and a note if its driver ended before it registered one."""

from __future__ import annotations

import json
import shlex
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from amlcore.errors import AmlcoreError, RecordError
from amlcore.record.ownership import owner_of
from amlcore.record.reading import appended_lines, read_yaml
from amlcore.record.record import Record
from amlcore.record.status import INTERRUPTED, RunState
from amlcore.worker import durable
from amlcore.worker.files import append_line, create_bytes, open_to_group


def record_model(record: Record, model: str) -> str | None:
    """Add `model`, NAME:VERSION, to the models registered from the run.

    Returns
    -------
    str or None
        A warning, if this user may not write the run's record. The model itself names its run in any case.
    """
    line = {"model": model, "at": datetime.now(UTC).isoformat()}
    try:
        # The first line comes with its file, or a power cut could leave an empty one.
        if not create_bytes(record.layout.models, f"{json.dumps(line)}\n".encode(), sync=True):
            _remove_torn_line(record.layout.models)
            append_line(record.layout.models, line)
    except PermissionError:
        run, owner = record.folder.name, owner_of(record.folder)
        return f"the record of run {run} does not name {model}: it belongs to {owner}, and you may not write there"
    with suppress(PermissionError):  # whoever registered the first model has done it
        open_to_group(record.layout.models, keep_private=True)
    durable.sync([record.layout.models, record.folder])
    return None


def _remove_torn_line(path: str) -> None:
    """Remove what a power cut left of a line that was being appended, or the next line would be appended to it."""
    with open(path, "rb+") as file:
        content = file.read()
        whole = len(content.rstrip(b"\0"))
        if whole != len(content):
            file.truncate(whole)


def last_model(record: Record) -> str | None:
    """The last model registered from the run, as NAME:VERSION."""
    try:
        return str(json.loads(appended_lines(record.layout.models)[-1])["model"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def note_unpublished(record: Record, *, exit_status: int) -> None:
    """Say in the reason of a completed run that its driver ended before the model was registered or packaged."""
    status = record.status
    if status.state is not RunState.Completed or record.info.parent is not None or status.exit_status:
        return
    try:
        job = read_yaml(record.layout.config, dict) or {}
        name, path = job["model"]["name"], job["model"]["path"]
    except (LookupError, TypeError):
        raise RecordError(f"{record.layout.config} is damaged: it lacks model.name or model.path") from None
    run = record.folder.name
    if name is None:
        return
    is_sweep = Path(record.layout.sweep).exists()
    model = last_model(record)
    if is_sweep:  # its model is registered from the best trial
        trials = (Record(folder) for folder in record.folder.parent.glob(f"{run}_*"))
        model = next((registered for trial in trials if (registered := last_model(trial))), None)
    if model is None:
        alias = f" --alias {job['model']['alias']}" if job["model"].get("alias") else ""
        register = f"aml register {run} --name {name} --path {shlex.quote(path)}{alias}"
        again = f"aml resume {run}" if is_sweep else register
        note = f"its driver ended before {name} was registered: {again}"
    elif job.get("deployment") is not None:
        note = f"its driver ended before {model} was packaged: aml deploy {model}"
    else:
        return
    record.enter(RunState.Completed, "; ".join(filter(None, (status.reason, note))), exit_status=exit_status)


def note_driver_failure(record: Record, error: BaseException) -> None:
    """Note in the record what is left undone if this process, which ends with `error`, drives the run."""
    with suppress(AmlcoreError, OSError):  # the next reconcile notes it
        if not record.is_driven_here:
            return
        note_unpublished(record, exit_status=INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1)
