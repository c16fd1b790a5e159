"""Adoption: what becomes of a trial that an earlier driver of its sweep began."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from amlcore.compute import backend_of
from amlcore.compute.queue import Queue
from amlcore.compute.target import LOST_PREFIX
from amlcore.config import Search
from amlcore.errors import RecordError
from amlcore.record.record import Record
from amlcore.sweep.study import Trial, TrialState
from amlcore.worker.files import open_to_group
from amlcore.worker.metrics import last_values


def damaged_trials(search: Search, sweep: Record, trials: list[Trial]) -> dict[int, Record]:
    """The records, by number, of trials that the study says have ended, but that a power cut removed or damaged.

    A study is synced while its sweep runs, and the records of its trials only at the end of the sweep. So none is
    damaged once the sweep itself has ended, and a record that is missing then was removed by somebody.
    """
    status = sweep.status
    if status.state.ended and not (status.reason or "").startswith(LOST_PREFIX):
        return {}
    ended = [trial for trial in trials if trial.state not in (TrialState.RUNNING, TrialState.CANCELED)]
    metrics = search.sweep.metrics
    return {
        trial.number: record for trial in ended if not _is_whole(record := sweep.child(trial.number), trial, metrics)
    }


def _is_whole(record: Record, trial: Trial, metrics: Sequence[str]) -> bool:
    """Whether the record of a trial holds what its study says, judged without reading every file."""
    if not record.is_present or not record.is_readable or not record.has_ended():
        return False
    if trial.state is not TrialState.COMPLETE:
        return True
    layout = record.layout
    if not all(_size(path) > 0 for path in (layout.config, layout.request, layout.listing)):
        return False
    with suppress(RecordError):
        is_kept = all(_size(record.folder / file.path) == file.size for file in record.outputs)
        return is_kept and set(metrics) <= last_values(layout.metrics, "scalar").keys()
    return False


def _size(path: str | Path) -> int:
    """The size of a file in bytes; -1 if there is none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def can_continue(record: Record, overrides: list[str]) -> bool:
    """Whether the trial in this folder continues, rather than being tried again from the start.

    It is tried again if its driver was killed while it created the folder, if a power cut damaged it, or if all its
    processes ended with the machine: its script did nothing wrong.

    Raises
    ------
    RecordError
        The folder holds another trial.
    """
    if not Path(record.layout.run).exists() or not record.is_readable:
        return False
    _check_same(record, overrides)
    if not _was_lost(record):
        return True
    if (entry := record.queue_entry) is not None:  # or the request of the lost attempt could be enqueued again
        Queue.of_request(entry.path).discard(record.folder.name)
    return False


def start_over(record: Record) -> None:
    """Recreate the folder of a trial; only its checkpoints stay, which its attempts share."""
    checkpoints = Path(record.layout.checkpoints)
    aside = record.folder.with_name(f".{record.folder.name}.checkpoints")  # found again if this process is killed
    if checkpoints.is_dir() and Path(record.layout.run).exists() and record.is_readable:
        os.replace(checkpoints, aside)
    for folder in (record.folder, *record.child_folders):
        shutil.rmtree(folder, ignore_errors=True)
    record.folder.mkdir()
    open_to_group(str(record.folder), keep_private=True)
    if aside.is_dir():
        os.replace(aside, checkpoints)


def never_began(record: Record) -> bool:
    """Whether a run was ended as lost before a worker had claimed it; a canceled run was not lost."""
    return record.attempt == 0 and not Path(record.layout.cancel).exists()


def is_claimed(record: Record) -> bool:
    """Whether a worker has the request of an earlier driver; an unclaimed request is withdrawn."""
    return record.claim is not None or not record.withdraw()


def _was_lost(record: Record) -> bool:
    """Whether the processes of a trial that had begun ended without a result, and nobody canceled it."""
    if record.attempt == 0 or record.result is not None or Path(record.layout.cancel).exists():
        return False
    status = record.status
    if status.state.ended:
        return (status.reason or "").startswith(LOST_PREFIX)
    outcome = backend_of(record).observe(record).outcome
    return outcome is not None and outcome.is_lost


def _check_same(record: Record, overrides: list[str]) -> None:
    """Check that an existing folder holds this trial: a study can be lost or changed."""
    before = record.info.overrides
    if before != overrides:
        raise RecordError(
            f"{record.folder} holds a different trial than this number has in the study: "
            f"{' '.join(before)}, not {' '.join(overrides)}; move the folder away to continue"
        )
