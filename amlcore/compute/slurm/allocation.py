"""The Allocation: a job of Slurm, in which a worker serves the queue of its driver."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from amlcore.compute.queue import Queue, names
from amlcore.compute.request import RunRequest, WorkerKind
from amlcore.compute.worker_process import log_tail, start_worker
from amlcore.errors import ExecutionError
from amlcore.worker.files import read_json
from amlcore.worker.layout import QueueLayout, RunLayout
from amlcore.worker.process.processes import adopt_orphans, children
from amlcore.worker.process.supervisor import failed_result, write_result

MAX_STARTS = 3  # of a worker that is killed before it takes a run


@dataclass(frozen=True)
class Allocation:
    """One job of Slurm; restarted after a node failure or a preemption, it continues where it was."""

    queue: str
    kind: WorkerKind
    max_requeues: int

    def save(self) -> None:
        """Write it where its jobs find it, readable by this user alone: it has the run's environment variables."""
        with open(_file(self.queue), "x", opener=_private) as stream:
            json.dump({"kind": asdict(self.kind), "max_requeues": self.max_requeues}, stream)

    @classmethod
    def load(cls, queue: str) -> Self:
        with open(_file(queue)) as stream:
            settings = json.load(stream)
        kind = settings["kind"]
        return cls(queue, WorkerKind(**{**kind, "preload": tuple(kind["preload"])}), settings["max_requeues"])

    def __call__(self) -> None:
        """Requeue what an earlier start of this job left behind, then run a worker until it ends.

        Raises
        ------
        ExecutionError
            The worker failed.
        """
        termination = _TerminationSignal()
        owner = current_job()
        kind = replace(self.kind, cores=self.cores)
        queue = QueueLayout(self.queue)
        claimed = Queue(Path(self.queue)).add_owner(owner)
        for name in names(str(claimed)):
            self._requeue_interrupted(claimed / name, queue)
        adopt_orphans()
        for _ in range(MAX_STARTS):
            worker = start_worker(kind, queue, owner=owner)
            termination.forward_to(worker)
            status = worker.wait()
            # A worker that is killed from outside before it took a run may still be able to start.
            if status >= 0 or termination.received or Queue(Path(self.queue)).has_worked(owner):
                break
        _wait_for_supervisors(termination)
        if status:
            raise ExecutionError(
                f"the worker ended with status {status}; its log {queue.log} ends with: {log_tail(queue.log)}"
            )

    @property
    def cores(self) -> int:
        """Threads of a run: as many as the cores that Slurm allocated on this node."""
        return self.kind.cores or int(os.environ.get("SLURM_CPUS_ON_NODE", "1"))

    def _requeue_interrupted(self, path: Path, queue: QueueLayout) -> None:
        """Queue the request of an interrupted attempt again, as the next attempt.

        The new attempt's folder is made first: from then on nobody reads what the old one still writes.
        """
        request = RunRequest.read(path)
        run = RunLayout(request.folder)
        if read_json(run.attempt(request.attempt).result) is None:
            following = replace(request, attempt=request.attempt + 1)
            os.makedirs(run.attempt(following.attempt).folder, exist_ok=True)
            _keep_logs(run, request.attempt)
            if request.attempt > self.max_requeues:
                reason = f"interrupted {request.attempt} times, more than compute.max_requeues={self.max_requeues}"
                write_result(following.to_json(), failed_result(following.to_json(), reason), print)
            else:
                following.enqueue(Path(queue.new))
        path.unlink(missing_ok=True)


def _file(queue: str) -> str:
    return os.path.join(queue, "allocation.json")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def current_job() -> str:
    """The id of the job around this process, as squeue and sacct write it."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]


def _keep_logs(run: RunLayout, attempt: int) -> None:
    """Move the logs of an attempt aside; an orphan of it, if there is one, keeps writing to them."""
    folder = Path(run.logs, f"attempt-{attempt}")
    folder.mkdir(exist_ok=True)
    for stream in (run.stdout, run.stderr):
        with suppress(FileNotFoundError):
            shutil.move(stream, folder)


class _TerminationSignal:
    """Slurm's SIGTERM before the end of the job; with cgroups, only this process gets it."""

    def __init__(self) -> None:
        self._worker: subprocess.Popen[bytes] | None = None
        self.received = False
        signal.signal(signal.SIGTERM, self._receive)

    def forward_to(self, worker: subprocess.Popen[bytes]) -> None:
        """Forward the signal to `worker`, at once if it came while the worker started."""
        self._worker = worker
        if self.received:
            worker.terminate()

    def _receive(self, *_: object) -> None:
        self.received = True
        if self._worker is not None:
            self._worker.terminate()


def _wait_for_supervisors(termination: _TerminationSignal) -> None:
    """Wait for the supervisors, which may still be ending a script after their worker has ended."""
    if termination.received:
        for pid in children(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
    with suppress(ChildProcessError):
        while True:
            os.wait()
