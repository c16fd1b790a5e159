"""The SlurmSlots: jobs of Slurm as room for the runs of one driver."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import threading
import time
import uuid
import warnings
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from amlcore.compute import cluster
from amlcore.compute.allocation import Allocation
from amlcore.compute.cluster import EndedJob, QueuedJob, UnreachableError
from amlcore.compute.queue import run_of
from amlcore.compute.slurm_queue import SlurmQueue
from amlcore.compute.target import Ending, Sight
from amlcore.errors import ExecutionError
from amlcore.record import Record, RunState
from amlcore.request import Request, WorkerKind
from amlcore.worker.layout import is_alive, read_json

ASK_S = 1.0
HEARTBEAT_S = 5.0
GATHER_S = 0.1
"""Requests that follow each other so closely are asked for together, as one array."""

MISSING_S = 30.0
"""For how long accounting may not know a job that has left the queue."""

LEFT_S = 24 * 3600.0
"""After a day the folder of a closed queue may go, whether its jobs said that they ended or not."""

AWAY = "the Slurm controller does not answer; what runs goes on, and so does this driver when it is back"


class SlurmSlots:
    """The jobs of one driver; a thread of its own asks Slurm, so that a controller that is away holds up nothing."""

    def __init__(
        self, *, state: Path, parameters: dict[str, Any], slots: int, max_requeues: int, settings: dict[str, Any]
    ) -> None:
        self._folder = _new_folder(state / "slurm")
        self._parameters = parameters
        self._slots = slots
        self._max_requeues = max_requeues
        self._settings = settings
        self._queues: dict[str, tuple[WorkerKind, SlurmQueue]] = {}
        self._keep: list[IO[bytes]] = []
        self._runs: dict[str, tuple[Request, SlurmQueue]] = {}
        self._sights: dict[str, Sight] = {}
        self._laid = 0.0
        self._missing: dict[str, float] = {}
        self._error: BaseException | None = None
        self._active: dict[str, QueuedJob] = {}
        self._ended: dict[str, EndedJob] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._attend, name="slurm", daemon=True)

    def submit(self, request: Request, kind: WorkerKind, *, keep: tuple[IO[bytes], ...] = ()) -> None:
        with self._lock:
            if kind.key not in self._queues:
                queue = SlurmQueue(self._folder / kind.key)
                queue.make({"preload": kind.preload, "idle_s": 1.0, **self._settings})
                self._queues[kind.key] = (kind, queue)
            self._keep += keep
            queue = self._queues[kind.key][1]
            self._runs[request.run] = (request, queue)
            request.lay(Path(queue.layout.new))
            self._laid = time.monotonic()
        self._wake.set()
        if not self._thread.ident:
            self._thread.start()

    def poll(self) -> dict[str, Ending]:
        if self._error is not None:
            raise self._error
        return {run: sight.ending for run, sight in dict(self._sights).items() if sight.ending is not None}

    def waiting(self, run: str) -> str | None:
        return self._sights.get(run, Sight()).waiting

    def withdraw(self, run: str) -> bool:
        return run in self._runs and self._runs[run][1].withdraw(run)

    def end(self, run: str) -> None:
        """Let Slurm end the job that `run` is in."""
        for known, (_, queue) in self._known_runs().items():
            if known == run:
                with suppress(ExecutionError):
                    cluster.cancel([job for name, job in queue.claimed.items() if name.startswith(f"{run}.")])

    def close(self) -> None:
        self._closed = True
        self._wake.set()
        for _, queue in self._queues.values():
            Path(queue.layout.closed).touch()
        if self._thread.ident:
            self._thread.join(timeout=ASK_S)
        pending = [job for job, known in self._active.items() if known.state == "PENDING" and self._is_mine(job)]
        with suppress(ExecutionError):
            cluster.cancel(pending, pending_only=True)
        for file in self._keep:
            file.close()

    def _attend(self) -> None:
        """Ask Slurm again and again until the slots are closed."""
        beaten = 0.0
        try:
            while not self._closed:
                self._wake.clear()
                if time.monotonic() - beaten > HEARTBEAT_S:
                    beaten = time.monotonic()
                    for _, queue in self._queues.values():
                        os.utime(queue.layout.worker)
                try:
                    self._look()
                    self._gather()
                    self._start()
                except UnreachableError:
                    self._look_without_slurm()
                self._wake.wait(ASK_S)
        except BaseException as error:
            self._error = error

    def _look(self) -> None:
        """See how far the jobs are, and what that means for the runs."""
        mine = {job for _, queue in self._queues.values() for job in queue.jobs}
        if mine:
            self._active = cluster.jobs()
            self._ended |= self._ended_of(mine - set(self._active) - set(self._ended))
        for _, queue in list(self._queues.values()):
            for job in queue.failures(self._ended):
                if run := queue.give_up(job):
                    self._end(run, queue.ending(self._ended[job], job))
        for run, (request, queue) in self._known_runs().items():
            if Record(Path(request.folder)).result is not None:
                self._forget(run)
                continue
            self._sights[run] = queue.sight(run, active=self._active, ended=self._ended)
            if left := queue.left_alone(run, active=self._active):
                cluster.cancel([left])

    def _ended_of(self, gone: set[str]) -> dict[str, EndedJob]:
        """How jobs ended that are in no queue any more; accounting may be late, or never have heard of them."""
        known = cluster.ended_jobs(sorted(gone))
        for _, queue in list(self._queues.values()):
            known |= queue.vanished(gone - set(known))
        now = time.monotonic()
        self._missing = {job: self._missing.get(job, now) for job in gone - set(known)}
        lost = [job for job, since in self._missing.items() if now - since > MISSING_S]
        return known | {job: EndedJob("UNKNOWN", "", "") for job in lost}

    def _look_without_slurm(self) -> None:
        """See in the files alone which runs have begun."""
        for run, (_, queue) in self._known_runs().items():
            self._sights[run] = Sight(waiting=AWAY) if queue.waits(run) else Sight()

    def _end(self, run: str, ending: Ending) -> None:
        self._forget(run)
        self._sights[run] = Sight(ending=ending)

    def _forget(self, run: str) -> None:
        with self._lock:
            del self._runs[run]
        self._sights.pop(run, None)

    def _known_runs(self) -> dict[str, tuple[Request, SlurmQueue]]:
        with self._lock:
            return dict(self._runs)

    def _gather(self) -> None:
        """Wait while requests are being laid, for a second at most."""
        until = time.monotonic() + ASK_S
        while time.monotonic() - self._laid < GATHER_S and time.monotonic() < until:
            time.sleep(GATHER_S / 5)

    def _start(self) -> None:
        """Ask for a job for each request that waits and finds no idle worker, as one array."""
        for kind, queue in list(self._queues.values()):
            idle = set(queue.jobs) - set(self._ended) - set(queue.ended) - set(queue.claimed.values())
            wanted = min(len(queue.new) - len(idle), self._slots - self._live)
            if wanted > 0 and not self._closed:
                self._ask_for_jobs(kind, queue, wanted)

    @property
    def _live(self) -> int:
        """How many jobs may still take a run, or have one."""
        return sum(len(set(queue.jobs) - set(self._ended) - set(queue.ended)) for _, queue in self._queues.values())

    def _ask_for_jobs(self, kind: WorkerKind, queue: SlurmQueue, count: int) -> None:
        from submitit.core.utils import FailedJobError  # submitit takes a while to import

        try:
            allocation = Allocation(queue.layout.folder, kind, self._max_requeues)
            queue.add_jobs(submit_jobs(allocation, count, self._parameters))
        except FailedJobError as error:
            words = str(error).strip()
            if cluster.is_unreachable(words):
                raise UnreachableError(words) from None
            refused = Ending(RunState.Failed, f"Slurm refused the job: {words}")
            for run in map(run_of, queue.new):
                if queue.withdraw(run):
                    self._end(run, refused)

    def _is_mine(self, job: str) -> bool:
        return any(job in queue.jobs for _, queue in self._queues.values())


def submit_jobs(allocation: Allocation, count: int, parameters: dict[str, Any]) -> list[str]:
    """Ask Slurm for `count` jobs, as an array where there are several; their ids come back."""
    import submitit

    folder = Path(allocation.queue, "slurm")
    folder.mkdir(exist_ok=True)
    # In the place of the batch script's shell, which would keep Slurm's signals to itself.
    executor = submitit.SlurmExecutor(folder=folder, python=f"exec {shlex.quote(sys.executable)}")
    extra = {"chdir": str(folder), **parameters["additional_parameters"]}  # python -m would import from there
    executor.update_parameters(**{**parameters, "additional_parameters": extra})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if count == 1:
            jobs = [executor.submit(allocation)]
        else:
            jobs = executor.map_array(Allocation.__call__, [allocation] * count)
    return [str(job.job_id) for job in jobs]


def _new_folder(folders: Path) -> Path:
    """A folder of its own; those that ended drivers left behind are removed meanwhile."""
    for folder in folders.glob("*"):
        if _is_left(folder):
            shutil.rmtree(folder, ignore_errors=True)
    return folders / uuid.uuid4().hex[:12]


def _is_left(folder: Path) -> bool:
    """Whether the driver of these queues is gone, and what it laid there has been carried out."""
    queues = [SlurmQueue(path) for path in folder.iterdir()]
    drivers = [(read_json(queue.layout.worker) or {}).get("driver") for queue in queues]
    if not queues or any(driver is None or is_alive(driver) is not False for driver in drivers):
        return False
    return all(_is_over(queue) for queue in queues)


def _is_over(queue: SlurmQueue) -> bool:
    closed = Path(queue.layout.closed)
    if closed.exists() and time.time() - closed.stat().st_mtime > LEFT_S:
        return True
    return not queue.new and not queue.claimed and set(queue.jobs) <= set(queue.ended)
