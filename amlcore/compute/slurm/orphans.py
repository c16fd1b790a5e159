"""Runs in Slurm whose driver has exited: their jobs continue without it."""

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
"""How long to wait after Slurm did not answer: each unanswered command takes long."""


def observe(record: Record) -> BackendStatus:
    """The status of a run that has no driver and no result."""
    entry = record.queue_entry
    if entry is None or not record.is_enqueued:
        return _lost("its driver ended before it was queued")
    queue, run = SlurmQueue.of_request(entry.path), record.folder.name
    if os.path.exists(record.layout.cancel) and queue.withdraw(run):
        if not queue.new:
            with suppress(ExecutionError):
                cluster.cancel(queue.jobs, pending_only=True)
        return BackendStatus(outcome=Outcome(RunState.Canceled, "canceled"))
    user = os.stat(record.folder).st_uid
    jobs = _USERS.setdefault(user, _UserJobs(user)).of(queue)
    if jobs is None:
        return BackendStatus()  # the files alone do not say: observe again later
    active, ended = jobs
    if not queue.jobs and queue.withdraw(run):
        return _lost("its driver ended before it submitted a job")
    if queue.is_waiting(run) and queue.jobs and all(job in ended for job in queue.jobs) and queue.withdraw(run):
        failed = queue.failures(ended)
        if failed:
            return BackendStatus(outcome=queue.outcome_of(ended[failed[-1]], failed[-1]))
        return _lost("its driver ended, and no job is left for it")
    if job := queue.unattended_job(run, active=active):
        with suppress(ExecutionError):
            cluster.cancel([job])
    return queue.status(run, active=active, ended=ended)


def _lost(why: str) -> BackendStatus:
    return BackendStatus(outcome=Outcome.lost(why))


class _UserJobs:
    """A user's jobs as Slurm last reported them, so that a list of many runs asks once."""

    def __init__(self, user: int) -> None:
        self._user = user
        self._again_at = 0.0
        self._active: dict[str, QueuedJob] | None = None
        self._ended: dict[str, EndedJob] = {}

    def of(self, queue: SlurmQueue) -> tuple[dict[str, QueuedJob], dict[str, EndedJob]] | None:
        """The user's active jobs, and the ended ones of `queue`; None if Slurm does not answer."""
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


_USERS: dict[int, _UserJobs] = {}
