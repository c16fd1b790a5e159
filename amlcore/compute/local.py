"""Local: this machine as a compute target."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from amlcore.compute.target import ComputeTarget, Ending, Sight
from amlcore.errors import RecordError
from amlcore.record import Record, RunState
from amlcore.request import Request, WorkerKind
from amlcore.worker import main as worker_main
from amlcore.worker.layout import QueueLayout, RunLayout, identity, is_alive, read_json, write_json
from amlcore.workspace import Workspace

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)
IDLE_S = 0.0  # a driver that is gone on this host is gone for good, and its queue is nobody else's
LOST_CHECK_S = 1.0
LOST = Ending(RunState.Failed, "lost: its processes are gone and left no result")
SAID_CHARACTERS = 2000  # of a worker that could not start


@dataclass
class Local(ComputeTarget):
    """This machine: workers are processes, a slot is a locked file."""

    kind: str = "local"

    def open(self, workspace: Workspace) -> LocalSlots:
        return LocalSlots(self, state=workspace.state_path)

    def check(self) -> None:
        """This machine takes every run."""

    @staticmethod
    def look(record: Record) -> Sight:
        if record.claim is not None:
            return Sight() if record.executing or record.result is not None else Sight(ending=LOST)
        if not record.withdraw():
            return Sight() if _is_worked(record) else Sight(ending=LOST)
        words = f"lost: the process that drove it ended while the run was {record.status.state}"
        return Sight(ending=Ending(RunState.Failed, words))

    @property
    def resumable(self) -> bool:
        return False

    @property
    def place(self) -> str:
        # The machine is the same whatever a run may use of it; slots opened apart would wait for each other's workers.
        return self.kind


class LocalSlots:
    """The slots of this machine for one driver.

    A worker inherits the lock of its slot, and so does the script: the slot is taken until both are gone,
    whatever becomes of the driver.
    """

    def __init__(self, target: Local, *, state: Path) -> None:
        self._target = target
        self._locks = state / "slots"
        self._locks.mkdir(parents=True, exist_ok=True)
        self._folder = _new_folder(state / "queue")
        self._kinds: dict[str, tuple[WorkerKind, tuple[IO[bytes], ...]]] = {}
        self._workers: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._records: dict[str, Record] = {}
        self._untold: dict[str, Ending] = {}  # runs that were found lost while another one was submitted
        self._checked = time.monotonic()

    def submit(self, request: Request, kind: WorkerKind, *, keep: tuple[IO[bytes], ...] = ()) -> None:
        queue = self._queue(kind.key)
        if kind.key not in self._kinds:
            os.makedirs(queue.new)
            os.makedirs(queue.claimed)
            write_json(queue.worker, {"preload": kind.preload, "driver": identity(), "idle_s": IDLE_S})
            self._kinds[kind.key] = (kind, ())
        of_kind, kept = self._kinds[kind.key]
        self._kinds[kind.key] = (of_kind, (*kept, *keep))
        request.lay(Path(queue.new))
        self._records[request.run] = Record(Path(request.folder))
        self._untold.update(self._serve())

    def poll(self) -> dict[str, Ending]:
        lost = {**self._untold, **self._serve()}
        self._untold = {}
        return lost

    def _serve(self) -> dict[str, Ending]:
        """Start the workers that are needed; the runs that were found lost, each once."""
        lost = self._lost()
        for key in self._kinds:
            idle = sum(1 for of, worker in self._workers if of == key) - len(self._names(key, "claimed"))
            for _ in range(len(self._names(key, "new")) - max(idle, 0)):
                slot = self._free_slot()
                if slot is None:
                    self._end_idle(other_than=key)
                    return lost
                self._start(key, slot)
        return lost

    def waiting(self, run: str) -> str | None:
        if not any(name.startswith(f"{run}.") for key in self._kinds for name in self._names(key, "new")):
            return None
        if any(worker.poll() is None for _, worker in self._workers):
            return None
        slots = self._target.slots
        return f"waiting for a slot: {slots} of {slots} in use on compute={self._target.kind} (compute.slots={slots})"

    def withdraw(self, run: str) -> bool:
        for key in self._kinds:
            for name in self._names(key, "new"):
                if name.startswith(f"{run}."):
                    try:
                        os.unlink(os.path.join(self._queue(key).new, name))
                    except FileNotFoundError:
                        return False
                    return True
        return False

    def end(self, run: str) -> None:
        """All processes are on this host, where signals reach them."""

    def close(self) -> None:
        for key in self._kinds:
            Path(self._queue(key).closed).touch()
        for _, worker in self._workers:
            worker.wait()
        for _, keep in self._kinds.values():
            for file in keep:
                file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _queue(self, key: str) -> QueueLayout:
        return QueueLayout(str(self._folder / key))

    def _names(self, key: str, kind: str) -> list[str]:
        return [name for name in os.listdir(getattr(self._queue(key), kind)) if not name.startswith(".")]

    def _free_slot(self) -> IO[bytes] | None:
        for number in range(self._target.slots):
            slot = (self._locks / f"{self._target.kind}-{number}").open("ab")
            try:
                fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                slot.close()
            else:
                return slot
        return None

    def _end_idle(self, *, other_than: str) -> None:
        """Let the workers of other kinds go that nothing waits for: the slots are theirs for as long as they live."""
        for key in self._kinds.keys() - {other_than}:
            if not self._names(key, "new"):
                Path(self._queue(key).closed).touch()

    def _start(self, key: str, slot: IO[bytes]) -> None:
        kind, keep = self._kinds[key]
        queue = self._queue(key)
        Path(queue.closed).unlink(missing_ok=True)
        with slot, open(queue.log, "ab") as log:
            fcntl.flock(log, fcntl.LOCK_SH)  # it is their stdout: locked for as long as one of them lives
            worker = subprocess.Popen(
                [kind.interpreter, worker_main.__file__, queue.folder],
                env=worker_environment(kind),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[slot.fileno(), *(file.fileno() for file in keep)],
                start_new_session=True,
            )
        self._workers.append((key, worker))

    def _lost(self) -> dict[str, Ending]:
        """The runs whose script will not begin, since its worker is gone, or that ended without a result."""
        lost: dict[str, Ending] = {}
        if time.monotonic() - self._checked > LOST_CHECK_S:
            self._checked = time.monotonic()
            self._records = {run: record for run, record in self._records.items() if record.result is None}
            lost = {run: LOST for run, record in self._records.items() if _is_lost(record)}
        for key, worker in list(self._workers):
            if worker.poll() is None:
                continue
            self._workers.remove((key, worker))
            said = Path(self._queue(key).log).read_text(errors="replace").strip()[-SAID_CHARACTERS:]
            why = f"the worker ended with status {worker.returncode} before the script began: {said}"
            waiting = self._requests(key, "new") if worker.returncode != 0 else []
            # A request that was claimed and not begun; what has begun is its supervisor's, with or without a worker.
            claimed = [] if any(of == key for of, _ in self._workers) else self._requests(key, "claimed")
            for path, request in [*waiting, *((path, request) for path, request in claimed if not _has_begun(request))]:
                path.unlink(missing_ok=True)
                lost[request.run] = Ending(RunState.Failed, why)
        return lost

    def _requests(self, key: str, kind: str) -> list[tuple[Path, Request]]:
        folder = Path(getattr(self._queue(key), kind))
        return [(folder / name, Request.at(folder / name)) for name in self._names(key, kind)]


def _has_begun(request: Request) -> bool:
    return Path(RunLayout(request.folder).attempt(request.attempt).claim).exists()


def _is_lost(record: Record) -> bool:
    return record.claim is not None and not record.executing and record.result is None


def _is_worked(record: Record) -> bool:
    """Whether a worker, or a supervisor that it left, lives in the queue that holds the request of `record`."""
    queued = read_json(record.layout.queued)
    try:
        with open(QueueLayout(Path(queued["path"]).parent.parent).log, "rb") as log:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:  # the queue is removed once all that was laid there has been carried out
        return False
    return False


def _new_folder(queues: Path) -> Path:
    """A queue folder of its own; those that lost drivers left behind are removed meanwhile."""
    for folder in queues.glob("*"):
        if _is_left(folder):
            shutil.rmtree(folder, ignore_errors=True)
    return queues / uuid.uuid4().hex[:12]


def _is_left(folder: Path) -> bool:
    """Whether the driver of a queue folder is gone, and all that it laid there has been carried out."""
    try:
        kinds = [QueueLayout(str(kind)) for kind in folder.iterdir()]
        drivers = [read_json(kind.worker)["driver"] for kind in kinds]
        waiting = [path for kind in kinds for path in Path(kind.new).iterdir()]
        waiting += [path for kind in kinds for path in Path(kind.claimed).iterdir() if not _has_ended(path)]
    except (OSError, ValueError, TypeError, RecordError):  # another driver is making or removing it at this moment
        return False
    return bool(kinds) and not waiting and all(is_alive(driver) is False for driver in drivers)


def _has_ended(claimed: Path) -> bool:
    """Whether the run of a claimed request has ended, or is there no more: whoever carried it out was killed."""
    record = Record(Path(Request.at(claimed).folder))
    return not record.is_there or record.has_ended()


def worker_environment(kind: WorkerKind) -> dict[str, str]:
    """The environment variables of a worker: this process's, the environment's own folders first, then the run's."""
    variables = dict(os.environ)
    interpreter = Path(kind.interpreter)
    if interpreter != Path(sys.executable):
        for name in ("PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__"):
            variables.pop(name, None)
        variables["VIRTUAL_ENV"] = str(interpreter.parent.parent)
        variables["PATH"] = os.pathsep.join([str(interpreter.parent), variables.get("PATH", os.defpath)])
    if kind.cores is not None:
        variables.update(dict.fromkeys(THREAD_VARIABLES, str(kind.cores)))
    return variables | kind.environment_variables
