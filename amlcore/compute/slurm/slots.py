"""The SlurmSlots: jobs of Slurm as room for the runs of one driver."""

from __future__ import annotations

import os
import shutil
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from amlcore.compute.queue import run_of
from amlcore.compute.request import RunRequest, WorkerKind
from amlcore.compute.slurm import cluster, sbatch
from amlcore.compute.slurm.allocation import Allocation
from amlcore.compute.slurm.cluster import EndedJob, QueuedJob, UnreachableError
from amlcore.compute.slurm.job_quota import JobQuota
from amlcore.compute.slurm.queue import SUBMITTING, SlurmQueue
from amlcore.compute.target import BackendStatus, Outcome
from amlcore.errors import ExecutionError, RecordError
from amlcore.record.ownership import is_own
from amlcore.record.record import Record
from amlcore.record.status import RunState
from amlcore.worker.files import make_folder

ASK_S = 1.0
HEARTBEAT_S = 5.0
GATHER_S = 0.1
"""Requests that follow each other this closely are submitted together, as one array."""

MISSING_S = 30.0
"""How long accounting may not know a job that has left the queue."""

ABANDONED_S = 24 * 3600.0
"""The folder of a closed queue is removed after a day, even if its jobs never reported their end."""

UNREACHABLE_REASON = "the Slurm controller does not answer; running jobs continue, and this driver waits for it"

AT_LIMIT = "Slurm accepts no more of your jobs at the moment ({}); the rest is submitted as others end"


class SlurmSlots:
    """The jobs of one driver; a separate thread asks Slurm, so that an unreachable controller delays nothing else."""

    def __init__(
        self, *, state: Path, parameters: dict[str, Any], slots: int, max_requeues: int, settings: dict[str, Any]
    ) -> None:
        self._folder = _new_folder(state / "slurm")
        self._parameters = parameters
        self._slots = slots
        self._max_requeues = max_requeues
        self._settings = settings
        self._queues: dict[str, SlurmQueue] = {}
        self._keep_open: list[IO[bytes]] = []
        self._runs: dict[str, tuple[RunRequest, SlurmQueue]] = {}
        self._statuses: dict[str, BackendStatus] = {}
        self._queued_at = 0.0
        self._missing: dict[str, float] = {}
        self._error: BaseException | None = None
        self._active: dict[str, QueuedJob] = {}
        self._ended: dict[str, EndedJob] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._quota = JobQuota()
        self._thread = threading.Thread(target=self._attend, name="slurm", daemon=True)
        self._heart = threading.Thread(target=self._beat, name="slurm heartbeat", daemon=True)

    def submit(self, request: RunRequest, kind: WorkerKind, *, keep_open: tuple[IO[bytes], ...] = ()) -> None:
        with self._lock:
            if kind.key not in self._queues:
                queue = SlurmQueue(self._folder / kind.key)
                queue.make({"preload": kind.preload, "idle_s": 1.0, **self._settings})
                Allocation(queue.layout.folder, kind, self._max_requeues).save()
                self._queues[kind.key] = queue
            self._keep_open += keep_open
            queue = self._queues[kind.key]
            self._runs[request.run] = (request, queue)
            request.enqueue(Path(queue.layout.new))
            self._queued_at = time.monotonic()
        self._wake.set()
        if not self._thread.ident:
            self._thread.start()
            self._heart.start()

    def poll(self) -> dict[str, Outcome]:
        if self._error is not None:
            raise self._error
        return {run: status.outcome for run, status in dict(self._statuses).items() if status.outcome is not None}

    def wait_reason(self, run: str) -> str | None:
        return self._statuses.get(run, BackendStatus()).wait_reason

    def withdraw(self, run: str) -> bool:
        entry = self._known_runs().get(run)
        return entry is not None and entry[1].withdraw(run)

    def end(self, run: str) -> None:
        """Let Slurm end the job that `run` is in."""
        if (entry := self._known_runs().get(run)) is not None:
            with suppress(ExecutionError):
                cluster.cancel([job for name, job in entry[1].claimed.items() if name.startswith(f"{run}.")])

    def close(self) -> None:
        self._closed.set()
        self._wake.set()
        for queue in self._known_queues():
            with suppress(OSError):  # another process may have removed it
                Path(queue.layout.closed).touch()
        if self._thread.ident:
            self._thread.join(timeout=ASK_S)
        pending = [name for name, job in self._active.items() if job.state == "PENDING" and self._is_mine(name)]
        with suppress(ExecutionError):
            cluster.cancel(pending, pending_only=True)
        for file in self._keep_open:
            file.close()

    def _beat(self) -> None:
        """Tell the jobs that their driver lives, however long Slurm's commands take."""
        while not self._closed.wait(HEARTBEAT_S):
            for queue in self._known_queues():
                with suppress(OSError):
                    os.utime(queue.layout.worker)

    def _attend(self) -> None:
        """Watch and submit jobs until the slots are closed."""
        try:
            while not self._closed.is_set():
                self._wake.clear()
                try:
                    self._observe()
                    self._gather()
                    self._start()
                except UnreachableError as error:
                    self._observe_files(error)
                self._wake.wait(ASK_S)
        except BaseException as error:
            self._error = error

    def _observe(self) -> None:
        """Update the statuses of the runs from the states of their jobs."""
        mine = {job for queue in self._known_queues() for job in queue.jobs}
        if mine or self._quota.limit:
            self._active = cluster.jobs()
            self._ended |= self._ended_of(mine - set(self._active) - set(self._ended))
        for queue in self._known_queues():
            for job in queue.failures(self._ended):
                if run := queue.give_up(job):
                    self._end(run, queue.outcome_of(self._ended[job], job))
        for run, (request, queue) in self._known_runs().items():
            if Record(Path(request.folder)).result is not None:
                self._forget(run)
                continue
            status = queue.status(run, active=self._active, ended=self._ended)
            if status.wait_reason == SUBMITTING and self._quota.limit:
                status = BackendStatus(wait_reason=AT_LIMIT.format(self._quota.limit))
            self._statuses[run] = status
            if unattended := queue.unattended_job(run, active=self._active):
                cluster.cancel([unattended])

    def _ended_of(self, gone: set[str]) -> dict[str, EndedJob]:
        """How jobs ended that have left the queue; accounting may be late, or may not know them at all."""
        ended = cluster.ended_jobs(sorted(gone))
        for queue in self._known_queues():
            ended |= queue.vanished(gone - set(ended))
        now = time.monotonic()
        self._missing = {job: self._missing.get(job, now) for job in gone - set(ended)}
        lost = [job for job, since in self._missing.items() if now - since > MISSING_S]
        return ended | {job: EndedJob("UNKNOWN", "", "") for job in lost}

    def _observe_files(self, error: UnreachableError) -> None:
        """Update the statuses of the runs from their files alone."""
        for run, (_, queue) in self._known_runs().items():
            self._statuses[run] = BackendStatus(f"{UNREACHABLE_REASON} ({error})" if queue.is_waiting(run) else None)

    def _end(self, run: str, outcome: Outcome) -> None:
        self._forget(run)
        self._statuses[run] = BackendStatus(outcome=outcome)

    def _forget(self, run: str) -> None:
        with self._lock:
            self._runs.pop(run, None)
        self._statuses.pop(run, None)

    def _known_runs(self) -> dict[str, tuple[RunRequest, SlurmQueue]]:
        with self._lock:
            return dict(self._runs)

    def _known_queues(self) -> list[SlurmQueue]:
        with self._lock:
            return list(self._queues.values())

    def _gather(self) -> None:
        """Wait while more requests are being queued, for a second at most."""
        deadline = time.monotonic() + ASK_S
        while time.monotonic() - self._queued_at < GATHER_S and time.monotonic() < deadline:
            time.sleep(GATHER_S / 5)

    def _start(self) -> None:
        """Submit a job for each waiting request without an idle worker."""
        for queue in self._known_queues():
            idle = set(queue.jobs) - set(self._ended) - set(queue.ended) - set(queue.claimed.values())
            count = min(len(queue.new) - len(idle), self._slots - self._live)
            if count > 0 and not self._closed.is_set():
                self._submit_jobs(queue, count)

    @property
    def _live(self) -> int:
        """How many jobs have a run, or may still take one."""
        return sum(len(set(queue.jobs) - set(self._ended) - set(queue.ended)) for queue in self._known_queues())

    def _submit_jobs(self, queue: SlurmQueue, count: int) -> None:
        try:
            self._quota.fill(count, lambda size: queue.add_jobs(self._submit(queue, size)), own=len(self._active))
        except UnreachableError:
            raise
        except ExecutionError as error:
            refusal = Outcome(RunState.Failed, f"Slurm refused the job: {error}")
            for run in map(run_of, queue.new):
                if queue.withdraw(run):
                    self._end(run, refusal)

    def _submit(self, queue: SlurmQueue, count: int) -> list[str]:
        return sbatch.submit(Path(queue.layout.folder), count, self._parameters)

    def _is_mine(self, job: str) -> bool:
        return any(job in queue.jobs for queue in self._known_queues())


def _new_folder(folders: Path) -> Path:
    """A new folder; those that dead drivers of this user left behind are removed."""
    make_folder(folders)
    for folder in folders.glob("*"):
        with suppress(OSError, ValueError, LookupError):  # another driver is removing it at this moment
            if is_own(folder) and _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)
    return folders / uuid.uuid4().hex[:12]


def _is_abandoned(folder: Path) -> bool:
    """Whether the driver of these queues has exited and all their requests have been carried out."""
    queues = [SlurmQueue(path) for path in folder.iterdir()]
    try:
        drivers = [queue.driver for queue in queues]
    except RecordError:
        return False
    if not queues or any(driver is None or driver.is_alive is not False for driver in drivers):
        return False
    return all(_is_over(queue) for queue in queues)


def _is_over(queue: SlurmQueue) -> bool:
    closed = Path(queue.layout.closed)
    if closed.exists() and time.time() - closed.stat().st_mtime > ABANDONED_S:
        return True
    return not queue.new and not queue.claimed and set(queue.jobs) <= set(queue.ended)
