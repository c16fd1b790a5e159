"""The Allocation: what runs on a node for as long as Slurm leaves it there, a worker on the queue of its driver."""

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

MAX_STARTS = 3  # of a worker that is killed each time before it takes a run


@dataclass(frozen=True)
class Allocation:
    """One job of Slurm; started again after a failed node or a preemption, it goes on where it was."""

    queue: str
    kind: WorkerKind
    max_requeues: int

    def save(self) -> None:
        """Write it where its jobs find it, for this user's eyes: it has the run's environment variables."""
        with open(_file(self.queue), "x", opener=_private) as stream:
            json.dump({"kind": asdict(self.kind), "max_requeues": self.max_requeues}, stream)

    @classmethod
    def load(cls, queue: str) -> Self:
        with open(_file(queue)) as stream:
            settings = json.load(stream)
        kind = settings["kind"]
        return cls(queue, WorkerKind(**{**kind, "preload": tuple(kind["preload"])}), settings["max_requeues"])

    def __call__(self) -> None:
        """Take up what an earlier start of this job left, then work; returns when the worker has ended.

        Raises
        ------
        ExecutionError
            The worker could not work.
        """
        announced = _Announced()
        owner = job_id()
        kind = replace(self.kind, cores=self.cores)
        queue = QueueLayout(self.queue)
        claimed = Queue(Path(self.queue)).add_owner(owner)
        for name in names(str(claimed)):
            self._again(claimed / name, queue)
        adopt_orphans()
        for _ in range(MAX_STARTS):
            worker = start_worker(kind, queue, owner=owner)
            announced.pass_on(worker)
            status = worker.wait()
            # What is killed from outside before it took a run is no worker that cannot start.
            if status >= 0 or announced.yet or Queue(Path(self.queue)).has_worked(owner):
                break
        _wait_for_supervisors(announced)
        if status:
            raise ExecutionError(
                f"the worker ended with status {status}; its log {queue.log} ends with: {log_tail(queue.log)}"
            )

    @property
    def cores(self) -> int:
        """Threads for a run: as many cores as Slurm gave on this node."""
        return self.kind.cores or int(os.environ.get("SLURM_CPUS_ON_NODE", "1"))

    def _again(self, path: Path, queue: QueueLayout) -> None:
        """Lay the request of an interrupted attempt anew, as the next attempt.

        The new attempt's folder is made first: from then on nothing that the old one still writes is looked at.
        """
        request = RunRequest.read(path)
        run = RunLayout(request.folder)
        if read_json(run.attempt(request.attempt).result) is None:
            following = replace(request, attempt=request.attempt + 1)
            os.makedirs(run.attempt(following.attempt).folder, exist_ok=True)
            _keep_logs(run, request.attempt)
            if request.attempt > self.max_requeues:
                words = f"interrupted {request.attempt} times, and compute.max_requeues={self.max_requeues}"
                write_result(following.to_json(), failed_result(following.to_json(), words), print)
            else:
                following.enqueue(Path(queue.new))
        path.unlink(missing_ok=True)


def _file(queue: str) -> str:
    return os.path.join(queue, "allocation.json")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def job_id() -> str:
    """The job that this process belongs to, as squeue and sacct name it."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]


def _keep_logs(run: RunLayout, attempt: int) -> None:
    """Put what an attempt has said beside the log; its orphan, should there be one, goes on writing there."""
    kept = Path(run.logs, f"attempt-{attempt}")
    kept.mkdir(exist_ok=True)
    for stream in (run.stdout, run.stderr):
        with suppress(FileNotFoundError):
            shutil.move(stream, kept)


class _Announced:
    """Whether Slurm has announced the end of the job, by SIGTERM: where cgroups track it, only this process gets it."""

    def __init__(self) -> None:
        self._worker: subprocess.Popen[bytes] | None = None
        self.yet = False
        signal.signal(signal.SIGTERM, self._hear)

    def pass_on(self, worker: subprocess.Popen[bytes]) -> None:
        """Let `worker` hear it too, if it was announced while the worker started."""
        self._worker = worker
        if self.yet:
            worker.terminate()

    def _hear(self, *_: object) -> None:
        self.yet = True
        if self._worker is not None:
            self._worker.terminate()


def _wait_for_supervisors(announced: _Announced) -> None:
    """A worker that is told to end leaves its supervisor ending the script; the job lasts until it has."""
    if announced.yet:
        for pid in children(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
    with suppress(ChildProcessError):
        while True:
            os.wait()
