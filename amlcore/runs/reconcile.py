"""Reconcile: whoever looks at a run whose driver has exited brings its state up to date with its files."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from amlcore.record.ownership import may_reconcile, owner_of
from amlcore.record.reading import is_blank
from amlcore.record.record import Record
from amlcore.record.status import RunStatus
from amlcore.runs.models import note_unpublished
from amlcore.worker.full_disk import FULL_DISK_ERRNOS


def needs_reconciling(record: Record, status: RunStatus) -> bool:
    """Whether `status` may not be final: the run has not ended, or its driver never said that everything is done."""
    return not status.state.ended or _is_left(record)


def reconcile(record: Record) -> None:
    """Bring the state of a run whose driver has exited up to date; with a full disk, the next command does it."""
    try:
        _reconcile(record)
    except OSError as error:
        if error.errno not in FULL_DISK_ERRNOS:
            raise


def _reconcile(record: Record) -> None:
    """Reconcile a run unless it has ended, is driven, or belongs to another user."""
    if not needs_reconciling(record, record.status):
        return
    if not may_reconcile(record.folder) or record.is_driven:
        return
    with locked(record.folder):
        _reconcile_locked(record)


def _reconcile_locked(record: Record) -> None:
    # Slow to import, and most runs have ended.
    from amlcore.runs.lifecycle import end_without_result, finalize, update_state

    if record.is_driven:  # somebody has resumed it meanwhile
        return
    if record.has_ended():
        if _is_left(record):
            note_unpublished(record, exit_status=1)
            Path(record.layout.driver).unlink(missing_ok=True)
        return
    _discard_blank_files(record)
    if record.result is not None:
        finalize(record)
        return
    status = _backend(record).observe(record)
    if status.outcome is not None and record.result is None:
        again = f"; `aml resume {record.folder.name}` continues it" if Path(record.layout.sweep).exists() else ""
        end_without_result(record, replace(status.outcome, reason=f"{status.outcome.reason}{again}"))
    else:
        update_state(record, status.wait_reason)


def _discard_blank_files(record: Record) -> None:
    """Remove what a power cut left blank in a run that has not ended: it was never written."""
    folders = [record.folder, Path(record.layout.attempt(record.attempt).folder)]
    for path in (path for folder in folders for path in folder.glob("*.json")):
        if is_blank(path):
            path.unlink(missing_ok=True)
    if not Path(record.layout.environment).exists() and is_blank(record.layout.lock):
        Path(record.layout.lock).unlink()


def unreconciled_reason(record: Record) -> str | None:
    """Why a run stays in its state, if its driver has exited and only another user may reconcile it."""
    if record.has_ended() or record.is_driven or may_reconcile(record.folder):
        return None
    owner = owner_of(record.folder)
    return f"its driver has exited; the next aml command of its owner, {owner}, brings it up to date"


def _backend(record: Record) -> Any:
    from amlcore.compute import backend_of  # slow to import, and most runs have ended

    return backend_of(record)


def _is_left(record: Record) -> bool:
    """Whether the driver of a submitted run never said that everything that was asked for is done."""
    return Path(record.layout.driver).exists() and Path(record.layout.config).exists()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock under which a run without a driver gets one again, or is reconciled."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
