"""The journal: the file of a study, in Optuna's own format, with one writer."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amlcore.errors import RecordError, RunError
from amlcore.worker import durable
from amlcore.worker.full_disk import retry_while_full

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


def lock(file: Path) -> int:
    """A lock on the journal that ends with this process.

    Raises
    ------
    RunError
        Another process drives the sweep.
    """
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise RunError(f"{file} is being written: another process drives this sweep") from None
    _repair(handle)
    durable.sync([file.parent])  # it may be new
    return handle


def _repair(handle: int) -> None:
    """Cut off a last line that a killed writer left unfinished: the next one would be mixed with it."""
    size = os.fstat(handle).st_size
    end = os.pread(handle, size, 0).rfind(b"\n") + 1
    if end != size:
        os.ftruncate(handle, end)


class BackgroundSync:
    """Brings a journal to the disk behind the back of its writer, who waits for none of it."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._asked = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def request(self) -> None:
        """Have what is written by now brought to the disk soon."""
        self._asked.set()

    def close(self) -> None:
        """End once all of it is there."""
        self._closed = True
        self._asked.set()
        self._thread.join()
        self._sync()  # the thread may have been at work when the last lines were written

    def _work(self) -> None:
        while not self._closed:
            self._asked.wait()
            self._asked.clear()
            self._sync()

    def _sync(self) -> None:
        with suppress(OSError):  # of a full or failing disk the next line that is written tells
            os.fdatasync(self._handle)


def open_storage(file: Path) -> BaseStorage:
    """The storage of a study in a journal that this process owns."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    class OwnedJournal(JournalFileBackend):
        """Writes without a lock, which would only outlive a killed writer, and without waiting for the disk.

        What is written outlives the process; that it outlives the machine is asked for by `Study.sync_soon`.
        """

        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
            retry_while_full(lambda: _append(file, lines.encode()), str(file))

    try:
        return JournalStorage(OwnedJournal(str(file)))
    except (ValueError, KeyError) as error:
        raise RecordError(f"{file}{_damaged_line(file)} is no journal of Optuna's: {error}") from None


def _append(file: Path, lines: bytes) -> None:
    """Append whole lines or nothing, also where the disk has room for a part of them."""
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
