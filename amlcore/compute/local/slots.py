"""LocalSlots: processes of this machine as room for the runs of one driver."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
import uuid
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import IO

from amlcore.compute.local.liveness import LOST, is_lost, kill_overdue
from amlcore.compute.local.queue import LocalQueue
from amlcore.compute.queue import LOST_CHECK_S, run_of
from amlcore.compute.request import RunRequest, WorkerKind
from amlcore.compute.target import Outcome
from amlcore.compute.worker_process import log_tail, start_worker
from amlcore.errors import RecordError
from amlcore.record.ownership import is_own
from amlcore.record.record import Record
from amlcore.record.status import RunState
from amlcore.worker.files import make_folder, open_to_group
from amlcore.worker.full_disk import FULL_DISK_ERRNOS, retry_while_full
from amlcore.worker.process.processes import signal_name

IDLE_S = 0.0  # a driver that has exited never comes back, and nobody else uses its queue
MAX_TRIES = 3  # of a run whose worker dies each time before it begins the run


class LocalSlots:
    """The slots of this machine for one driver.

    A worker inherits the lock of its slot, and so does the script: the slot is taken until both have exited,
    whatever becomes of the driver.
    """

    def __init__(self, slots: int, *, kind: str, state: Path) -> None:
        self._slots = slots
        self._kind = kind  # the target's, which names the locks
        self._locks = state / "slots"
        make_folder(self._locks)
        self._folder = _new_queue_folder(state / "queue")
        self._kinds: dict[str, tuple[WorkerKind, tuple[IO[bytes], ...]]] = {}
        self._workers: dict[str, tuple[str, subprocess.Popen[bytes]]] = {}  # by the name that they claim under
        self._records: dict[str, Record] = {}
        self._unreported: dict[str, Outcome] = {}  # found while another run was submitted; the next poll returns them
        self._tries: Counter[str] = Counter()  # by run: how many workers died before they began it
        self._killed: Counter[str] = Counter()  # by queue: workers in a row that were killed before they took a run
        self._checked_at = time.monotonic()

    def submit(self, request: RunRequest, kind: WorkerKind, *, keep_open: tuple[IO[bytes], ...] = ()) -> None:
        queue = self._queue(kind.key)
        if kind.key not in self._kinds:
            settings = {"preload": kind.preload, "idle_s": IDLE_S}
            retry_while_full(lambda: queue.make(settings), queue.layout.folder)
            self._kinds[kind.key] = (kind, ())
        of_kind, files = self._kinds[kind.key]
        self._kinds[kind.key] = (of_kind, (*files, *keep_open))
        request.enqueue(Path(queue.layout.new))
        self._records[request.run] = Record(Path(request.folder))
        self._unreported.update(self._serve())

    def poll(self) -> dict[str, Outcome]:
        outcomes = {**self._unreported, **self._serve()}
        self._unreported = {}
        return outcomes

    def _serve(self) -> dict[str, Outcome]:
        """Start the workers that are needed; return each lost run once."""
        lost = self._lost_runs()
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
                    if error.errno not in FULL_DISK_ERRNOS:
                        raise
                    return lost  # the next poll tries again
        return lost

    def wait_reason(self, run: str) -> str | None:
        if self._living or not any(self._queue(key).is_waiting(run) for key in self._kinds):
            return None
        in_use = "the only slot is in use" if self._slots == 1 else f"all {self._slots} slots are in use"
        return f"waiting for a slot of compute={self._kind}: {in_use} (compute.slots={self._slots})"

    def withdraw(self, run: str) -> bool:
        return any(self._queue(key).withdraw(run) for key in self._kinds)

    def end(self, run: str) -> None:
        """Signals reach all processes, which are on this host."""

    def close(self) -> None:
        for key in self._kinds:
            Path(self._queue(key).layout.closed).touch()
        for _, worker in self._workers.values():
            worker.wait()
        for _, files in self._kinds.values():
            for file in files:
                file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _queue(self, key: str) -> LocalQueue:
        return LocalQueue(self._folder / key)

    @property
    def _living(self) -> list[str]:
        return [owner for owner, (_, worker) in self._workers.items() if worker.poll() is None]

    def _free_slot(self) -> IO[bytes] | None:
        for number in range(self._slots):
            slot = _open_slot(self._locks / f"{self._kind}-{number}")
            try:
                fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                slot.close()
            else:
                return slot
        return None

    def _end_idle(self, *, other_than: str) -> None:
        """Close the queues of other kinds that hold no request: their workers occupy slots for as long as they live."""
        for key in self._kinds.keys() - {other_than}:
            if not self._queue(key).new:
                Path(self._queue(key).layout.closed).touch()

    def _start(self, key: str, slot: IO[bytes]) -> None:
        (kind, files), queue, owner = self._kinds[key], self._queue(key), uuid.uuid4().hex[:12]
        Path(queue.layout.closed).unlink(missing_ok=True)
        claims = queue.lock(owner)
        try:
            with slot:
                inherited = [slot.fileno(), claims, *(file.fileno() for file in files)]
                worker = start_worker(kind, queue.layout, owner=owner, pass_fds=inherited)
        finally:
            os.close(claims)
        self._workers[owner] = (key, worker)

    def _lost_runs(self) -> dict[str, Outcome]:
        """The runs whose script will not start, since its worker has exited, or that ended without a result."""
        lost: dict[str, Outcome] = {}
        if time.monotonic() - self._checked_at > LOST_CHECK_S:
            self._checked_at = time.monotonic()
            self._records = {run: record for run, record in self._records.items() if record.result is None}
            lost = {run: LOST for run, record in self._records.items() if is_lost(record)}
            for record in self._records.values():
                kill_overdue(record)
        for owner, (key, worker) in list(self._workers.items()):
            if worker.poll() is not None and not self._queue(key).is_held(owner):
                del self._workers[owner]
                lost |= self._lost_with(owner, worker.returncode, self._queue(key))
        return lost

    def _lost_with(self, owner: str, status: int, queue: LocalQueue) -> dict[str, Outcome]:
        """The runs that end because a worker has; a run that it had not begun is tried again, up to MAX_TRIES times."""
        how = f"ended with status {status}" if status >= 0 else f"was killed by {signal_name(-status)}"
        log = log_tail(queue.layout.log)
        never_began = Outcome(RunState.Failed, f"the worker {how} before the script began: {log}")
        lost: dict[str, Outcome] = {}
        if status and not queue.has_worked(owner) and owner not in queue.ended:
            # A signal from outside is not a failed start, but a library may crash at each import.
            self._killed[queue.layout.folder] += 1 if status < 0 else MAX_TRIES
            if self._killed[queue.layout.folder] >= MAX_TRIES and (run := queue.give_up(owner)):
                lost[run] = never_began
        else:
            self._killed[queue.layout.folder] = 0
        for run in map(run_of, queue.requeue_abandoned()):
            self._tries[run] += 1
            if self._tries[run] >= MAX_TRIES and queue.withdraw(run):
                lost[run] = never_began
        return lost | {run_of(name): LOST for name, claimer in queue.claimed.items() if claimer == owner}


def _open_slot(slot: Path) -> IO[bytes]:
    """The file of a slot, which all users of the workspace lock."""
    with suppress(FileExistsError):
        os.close(os.open(slot, os.O_CREAT | os.O_EXCL, 0o666))
        open_to_group(str(slot))
    return slot.open("ab" if os.access(slot, os.W_OK) else "rb")


def _new_queue_folder(queues: Path) -> Path:
    """A new queue folder; what dead drivers of this user left in theirs is queued again, or removed."""
    make_folder(queues)
    for folder in queues.glob("*"):
        try:
            if not is_own(folder):
                continue
            abandoned = [LocalQueue(kind) for kind in folder.iterdir()]
            if abandoned and all(queue.driver_is_gone for queue in abandoned):
                for queue in abandoned:
                    queue.requeue_abandoned()
                if not any(queue.has_work for queue in abandoned):
                    shutil.rmtree(folder, ignore_errors=True)
        except (OSError, ValueError, RecordError):  # another driver is removing it at this moment
            continue
    return queues / uuid.uuid4().hex[:12]
