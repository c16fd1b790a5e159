"""The journal: the file of a study, in Optuna's format, with one writer."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amlcore.errors import RecordError, RunError
from amlcore.worker import durable
from amlcore.worker.files import write_bytes
from amlcore.worker.full_disk import retry_while_full

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

SET_TRIAL_STATE_VALUES = 6
SET_TRIAL_USER_ATTR = 8
FINISHED = (1, 2, 3)
"""The numbers of COMPLETE, PRUNED and FAIL in a journal."""

REASON = "reason"
COMPLETED = "completed"
"""The attribute of a trial that completed without a value, which is a failed one to Optuna."""
CANCELED = "canceled"
"""The attribute of a trial that was canceled with its sweep."""
END_ATTRIBUTES = frozenset((REASON, COMPLETED, CANCELED))
"""What says, besides the state, how a trial ended."""


def lock(file: Path) -> int:
    """Lock the journal for as long as this process runs; returns its open file descriptor.

    Raises
    ------
    RunError
        Another process drives the sweep.
    """
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_owned = os.path.samestat(os.fstat(handle), os.stat(file))  # else `reopen_trials` has just replaced it
    except BlockingIOError:
        is_owned = False
    if not is_owned:
        os.close(handle)
        raise RunError(f"another process drives this sweep: it has locked {file}")
    _repair(handle)
    durable.sync([file.parent])  # the file may be new
    return handle


def _repair(handle: int) -> None:
    """Cut off an unfinished last line of a killed writer, or the next line would be appended to it."""
    size = os.fstat(handle).st_size
    end = os.pread(handle, size, 0).rfind(b"\n") + 1
    if end != size:
        os.ftruncate(handle, end)


def reopen_trials(file: Path, trial_ids: Collection[int]) -> None:
    """Take the ends of these trials out of a journal that this process has locked: they are running again.

    The operations are those of Optuna's JournalStorage; a trial's id is its place among the trials that were created.
    """
    lines = file.read_bytes().splitlines(keepends=True)
    write_bytes(str(file), b"".join(line for line in lines if not _is_end(line, trial_ids)), sync=True)
    durable.sync([file.parent])


def _is_end(line: bytes, trial_ids: Collection[int]) -> bool:
    log = json.loads(line)
    if log.get("trial_id") not in trial_ids:
        return False
    if log["op_code"] == SET_TRIAL_STATE_VALUES:
        return log["state"] in FINISHED
    return log["op_code"] == SET_TRIAL_USER_ATTR and not END_ATTRIBUTES.isdisjoint(log["user_attr"])


class BackgroundSync:
    """Syncs a journal to the disk in a thread of its own, so the writer does not wait."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._requested = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def request(self) -> None:
        """Sync soon what has been written so far."""
        self._requested.set()

    def close(self) -> None:
        """Sync what is left, then end."""
        self._closed = True
        self._requested.set()
        self._thread.join()
        self._sync()  # the thread may have started its last sync before the last lines were written

    def _work(self) -> None:
        while not self._closed:
            self._requested.wait()
            self._requested.clear()
            self._sync()

    def _sync(self) -> None:
        with suppress(OSError):  # the next write reports a full or failing disk
            os.fdatasync(self._handle)


def open_storage(file: Path) -> BaseStorage:
    """The storage of a study in a journal that this process owns."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    class OwnedJournal(JournalFileBackend):
        """Writes without Optuna's lock, which a killed writer would leave behind, and without waiting for the disk.

        What is written survives the process; `Study.sync_soon` makes it survive the machine.
        """

        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
            retry_while_full(lambda: _append(file, lines.encode()), str(file))

    try:
        return JournalStorage(OwnedJournal(str(file)))
    except (ValueError, KeyError) as error:
        raise RecordError(f"{file}{_damaged_line(file)} is not a valid Optuna journal: {error}") from None


def _append(file: Path, lines: bytes) -> None:
    """Append all lines or none, even if the disk has room for only a part of them."""
    with open(file, "ab", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size
        try:
            while lines:
                lines = lines[stream.write(lines) :]
        except BaseException:
            os.ftruncate(stream.fileno(), size)
            raise


def _damaged_line(file: Path) -> str:
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        try:
            json.loads(line)
        except ValueError:
            return f", line {number},"
    return ""
