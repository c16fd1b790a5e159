"""Local: this machine as a compute target."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from amlcore.compute.local.queue import LocalQueue
from amlcore.compute.queue import is_overdue, run_of
from amlcore.compute.request import RunRequest, WorkerKind
from amlcore.compute.target import BackendStatus, ComputeTarget, Outcome
from amlcore.errors import RecordError, RunError
from amlcore.record.ownership import is_own
from amlcore.record.record import Record
from amlcore.record.status import RunState
from amlcore.worker import main as worker_main
from amlcore.worker.files import make_folder, open_to_group
from amlcore.worker.layout import OWNER_VARIABLE
from amlcore.worker.process.processes import family, send, signal_name
from amlcore.worker.process_identity import is_alive
from amlcore.worker.references import resolved
from amlcore.worker.room import FULL, persistently
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
LOST = Outcome(RunState.Failed, "lost: its processes are gone and left no result")
SAID_CHARACTERS = 2000  # of a worker that could not start
MAX_TRIES = 3  # of a run whose worker is gone each time before it begins the run


@dataclass
class Local(ComputeTarget):
    """This machine: workers are processes, a slot is a locked file."""

    kind: str = "local"

    def open(self, workspace: Workspace) -> LocalSlots:
        return LocalSlots(self, state=workspace.state_path)

    def check(self) -> None:
        """This machine takes every run."""

    @staticmethod
    def observe(record: Record) -> BackendStatus:
        if record.claim is not None:
            if _is_lost(record):
                return BackendStatus(outcome=LOST)
            _end_overdue(record)
            return BackendStatus()
        queued = record.queued
        queue = None if queued is None else LocalQueue.of_request(queued["path"])
        if queue is not None:
            queue.requeue_abandoned()
        if record.withdraw():
            words = f"lost: the process that drove it ended while the run was {record.status.state}"
            return BackendStatus(outcome=Outcome(RunState.Failed, words))
        return (
            BackendStatus()
            if queue is not None and queue.is_run_held(record.folder.name)
            else BackendStatus(outcome=LOST)
        )

    @property
    def resumable(self) -> bool:
        return False

    @property
    def slots_key(self) -> str:
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
        make_folder(self._locks)
        self._folder = _new_folder(state / "queue")
        self._kinds: dict[str, tuple[WorkerKind, tuple[IO[bytes], ...]]] = {}
        self._workers: dict[str, tuple[str, subprocess.Popen[bytes]]] = {}  # by the name that they claim under
        self._records: dict[str, Record] = {}
        self._untold: dict[str, Outcome] = {}  # runs that were found lost while another one was submitted
        self._tries: Counter[str] = Counter()  # how often the worker of a run was gone before it began the run
        self._killed: Counter[str] = (
            Counter()
        )  # how many workers of a queue in a row were killed before they took a run
        self._checked = time.monotonic()

    def submit(self, request: RunRequest, kind: WorkerKind, *, keep: tuple[IO[bytes], ...] = ()) -> None:
        queue = self._queue(kind.key)
        if kind.key not in self._kinds:
            settings = {"preload": kind.preload, "idle_s": IDLE_S}
            persistently(lambda: queue.make(settings), queue.layout.folder)
            self._kinds[kind.key] = (kind, ())
        of_kind, kept = self._kinds[kind.key]
        self._kinds[kind.key] = (of_kind, (*kept, *keep))
        request.enqueue(Path(queue.layout.new))
        self._records[request.run] = Record(Path(request.folder))
        self._untold.update(self._serve())

    def poll(self) -> dict[str, Outcome]:
        lost = {**self._untold, **self._serve()}
        self._untold = {}
        return lost

    def _serve(self) -> dict[str, Outcome]:
        """Start the workers that are needed; the runs that were found lost, each once."""
        lost = self._lost()
        for key in self._kinds:
            queue = self._queue(key)
            busy = set(queue.claimed.values())
            idle = [owner for owner in self._living if self._workers[owner][0] == key and owner not in busy]
            for _ in range(len(queue.new) - len(idle)):
                slot = self._free_slot()
                if slot is None:
                    self._end_idle(other_than=key)
                    return lost
                try:
                    self._start(key, slot)
                except OSError as error:
                    if error.errno not in FULL:
                        raise
                    return lost  # the next poll tries again
        return lost

    def wait_reason(self, run: str) -> str | None:
        if self._living or not any(self._queue(key).waits(run) for key in self._kinds):
            return None
        slots = self._target.slots
        return f"waiting for a slot: {slots} of {slots} in use on compute={self._target.kind} (compute.slots={slots})"

    def withdraw(self, run: str) -> bool:
        return any(self._queue(key).withdraw(run) for key in self._kinds)

    def end(self, run: str) -> None:
        """All processes are on this host, where signals reach them."""

    def close(self) -> None:
        for key in self._kinds:
            Path(self._queue(key).layout.closed).touch()
        for _, worker in self._workers.values():
            worker.wait()
        for _, keep in self._kinds.values():
            for file in keep:
                file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _queue(self, key: str) -> LocalQueue:
        return LocalQueue(self._folder / key)

    @property
    def _living(self) -> list[str]:
        return [owner for owner, (_, worker) in self._workers.items() if worker.poll() is None]

    def _free_slot(self) -> IO[bytes] | None:
        for number in range(self._target.slots):
            slot = _opened(self._locks / f"{self._target.kind}-{number}")
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
            if not self._queue(key).new:
                Path(self._queue(key).layout.closed).touch()

    def _start(self, key: str, slot: IO[bytes]) -> None:
        (kind, keep), queue, owner = self._kinds[key], self._queue(key), uuid.uuid4().hex[:12]
        Path(queue.layout.closed).unlink(missing_ok=True)
        claims = queue.lock(owner)
        try:
            with slot, open(queue.layout.log, "ab") as log:
                worker = subprocess.Popen(
                    [kind.interpreter, worker_main.__file__, queue.layout.folder],
                    env={**worker_environment(kind), OWNER_VARIABLE: owner},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[slot.fileno(), claims, *(file.fileno() for file in keep)],
                    start_new_session=True,
                )
        finally:
            os.close(claims)
        self._workers[owner] = (key, worker)

    def _lost(self) -> dict[str, Outcome]:
        """The runs whose script will not begin, since its worker is gone, or that ended without a result."""
        lost: dict[str, Outcome] = {}
        if time.monotonic() - self._checked > LOST_CHECK_S:
            self._checked = time.monotonic()
            self._records = {run: record for run, record in self._records.items() if record.result is None}
            lost = {run: LOST for run, record in self._records.items() if _is_lost(record)}
            for record in self._records.values():
                _end_overdue(record)
        for owner, (key, worker) in list(self._workers.items()):
            if worker.poll() is not None and not self._queue(key).is_held(owner):
                del self._workers[owner]
                lost |= self._lost_with(owner, worker.returncode, self._queue(key))
        return lost

    def _lost_with(self, owner: str, status: int, queue: LocalQueue) -> dict[str, Outcome]:
        """The runs that end because a worker has; what it had not begun is tried again, some times."""
        said = Path(queue.layout.log).read_text(errors="replace").strip()[-SAID_CHARACTERS:]
        never_began = Outcome(RunState.Failed, f"the worker {_ended_by(status)} before the script began: {said}")
        lost: dict[str, Outcome] = {}
        if status and not queue.has_worked(owner) and owner not in queue.ended:
            # A signal from outside is not a failed start; a library may crash at each import, though.
            self._killed[queue.layout.folder] += 1 if status < 0 else MAX_TRIES
            if self._killed[queue.layout.folder] >= MAX_TRIES and (run := queue.give_up(owner)):
                lost[run] = never_began
        else:
            self._killed[queue.layout.folder] = 0
        for run in map(run_of, queue.requeue_abandoned()):
            self._tries[run] += 1
            if self._tries[run] >= MAX_TRIES and queue.withdraw(run):
                lost[run] = never_began
        return lost | {run_of(name): LOST for name, of in queue.claimed.items() if of == owner}


def _ended_by(status: int) -> str:
    return f"ended with status {status}" if status >= 0 else f"was killed by {signal_name(-status)}"


def _is_lost(record: Record) -> bool:
    return record.claim is not None and not record.is_executing and record.result is None


def _end_overdue(record: Record) -> None:
    """Kill a canceled run, and who should have ended it long since: a stopped process does nothing."""
    claim = record.claim
    if claim is None or not is_alive(claim["worker"]) or not _is_overdue(record):
        return
    supervisor, script = claim["worker"]["pid"], claim["script"]["pid"]
    send(signal.SIGKILL, script, family(supervisor, script))
    with suppress(ProcessLookupError):
        os.kill(supervisor, signal.SIGKILL)


def _opened(slot: Path) -> IO[bytes]:
    """The file of a slot, which all users of the workspace lock."""
    with suppress(FileExistsError):
        os.close(os.open(slot, os.O_CREAT | os.O_EXCL, 0o666))
        open_to_group(str(slot))
    return slot.open("ab" if os.access(slot, os.W_OK) else "rb")


def _is_overdue(record: Record) -> bool:
    try:
        return is_overdue(RunRequest.read(Path(record.layout.request)))
    except PermissionError:  # somebody else's run, whose processes are not ours to end
        return False


def _new_folder(queues: Path) -> Path:
    """A queue folder of its own; what lost drivers of this user left is taken back meanwhile, or removed."""
    make_folder(queues)
    for folder in queues.glob("*"):
        try:
            if not is_own(folder):
                continue
            left = [LocalQueue(kind) for kind in folder.iterdir()]
            if left and all(queue.driver_is_gone for queue in left):
                for queue in left:
                    queue.requeue_abandoned()
                if not any(queue.has_work for queue in left):
                    shutil.rmtree(folder, ignore_errors=True)
        except (OSError, ValueError, RecordError):  # another driver is removing it at this moment
            continue
    return queues / uuid.uuid4().hex[:12]


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
    try:
        return variables | {name: resolved(value) for name, value in kind.environment_variables.items()}
    except LookupError as error:
        raise RunError(f"script.environment_variables: {error.args[0]}") from None
