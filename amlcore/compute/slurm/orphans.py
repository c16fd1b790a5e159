"""The runs in Slurm whose driver is gone: their jobs go on without it."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from amlcore.compute.slurm import cluster
from amlcore.compute.slurm.cluster import EndedJob, QueuedJob
from amlcore.compute.slurm.queue import SlurmQueue
from amlcore.compute.target import BackendStatus, Outcome
from amlcore.errors import ExecutionError
from amlcore.record.record import Record
from amlcore.record.status import RunState

ASK_S = 2.0
ASK_AGAIN_S = 10.0
"""How long Slurm is left alone after it did not answer: it takes its time to say nothing."""


def observe(record: Record) -> BackendStatus:
    """How a run stands that no driver looks after, and has no result."""
    entry = record.queue_entry
    if entry is None or not record.is_enqueued:
        return _lost("the process that drove it ended before it was queued")
    queue, run = SlurmQueue.of_request(entry.path), record.folder.name
    if os.path.exists(record.layout.cancel) and queue.withdraw(run):
        if not queue.new:
            with suppress(ExecutionError):
                cluster.cancel(queue.jobs, pending_only=True)
        return BackendStatus(outcome=Outcome(RunState.Canceled, "canceled"))
    user = os.stat(record.folder).st_uid
    known = _ASKED.setdefault(user, _Asked(user)).about(queue)
    if known is None:
        return BackendStatus()  # files alone cannot tell: the next look may
    active, ended = known
    if not queue.jobs and queue.withdraw(run):
        return _lost("the process that drove it ended before it asked for a job")
    if queue.is_waiting(run) and queue.jobs and all(job in ended for job in queue.jobs) and queue.withdraw(run):
        failed = queue.failures(ended)
        if failed:
            return BackendStatus(outcome=queue.outcome_of(ended[failed[-1]], failed[-1]))
        return _lost("the process that drove it ended, and no job is left for it")
    if job := queue.unattended_job(run, active=active):
        with suppress(ExecutionError):
            cluster.cancel([job])
    return queue.status(run, active=active, ended=ended)


def _lost(why: str) -> BackendStatus:
    return BackendStatus(outcome=Outcome.lost(why))


class _Asked:
    """What Slurm last said of a user's jobs, so that a list of many runs asks once."""

    def __init__(self, user: int) -> None:
        self._user = user
        self._again_at = 0.0
        self._active: dict[str, QueuedJob] | None = None
        self._ended: dict[str, EndedJob] = {}

    def about(self, queue: SlurmQueue) -> tuple[dict[str, QueuedJob], dict[str, EndedJob]] | None:
        """The user's jobs, and those of `queue` that have ended; None where Slurm does not answer."""
        try:
            if time.monotonic() >= self._again_at:
                self._active = None
                self._active = cluster.jobs(self._user)
                self._again_at = time.monotonic() + ASK_S
            if self._active is None:
                return None
            gone = [job for job in queue.jobs if job not in self._active]
            self._ended |= cluster.ended_jobs([job for job in gone if job not in self._ended])
        except (ExecutionError, FileNotFoundError):
            self._active = None
            self._again_at = time.monotonic() + ASK_AGAIN_S
            return None
        ended = {job: self._ended[job] for job in gone if job in self._ended}
        return self._active, ended | queue.vanished(set(gone) - set(ended))


_ASKED: dict[int, _Asked] = {}
