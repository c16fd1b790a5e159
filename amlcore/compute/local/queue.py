"""The LocalQueue: a queue whose workers are processes of this machine."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from amlcore.compute.queue import Queue
from amlcore.compute.request import RunRequest
from amlcore.errors import RecordError
from amlcore.record.record import Record
from amlcore.worker.layout import RunLayout


class LocalQueue(Queue):
    """Who holds which request: nobody yet, or a worker.

    A worker and the supervisor that it forks hold a lock on the folder of the worker's claims while either lives.
    """

    def lock(self, owner: str) -> int:
        """Make the folder for what `owner` claims and lock it; return the descriptor, whose heirs hold the lock too."""
        handle = os.open(self.add_owner(owner), os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        return handle

    def is_held(self, owner: str) -> bool:
        """Whether the worker or its supervisor lives."""
        try:
            handle = os.open(f"{self.layout.claimed}/{owner}", os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: observers must not exclude one another
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def is_run_held(self, run: str) -> bool:
        """Whether a living worker has the request of `run`."""
        return any(name.startswith(f"{run}.") and self.is_held(owner) for name, owner in self.claimed.items())

    def requeue_abandoned(self) -> list[str]:
        """Queue the requests again that dead owners claimed and did not begin; return their names."""
        requeued = []
        for name, owner in self.claimed.items():
            path = Path(self.layout.claimed, owner, name)
            with suppress(FileNotFoundError, PermissionError):
                if not self.is_held(owner) and not _has_begun(RunRequest.read(path)):
                    path.rename(Path(self.layout.new, name))
                    requeued.append(name)
        return requeued

    @property
    def driver_is_gone(self) -> bool:
        try:
            driver = self.driver
        except RecordError:
            return False  # unknown: it may be in use
        return driver is not None and driver.is_alive is False

    @property
    def has_work(self) -> bool:
        """Whether a request waits, or a claimed run has not ended."""
        return bool(self.new) or not all(
            _has_ended(request) for name in self.claimed if (request := self.request(name))
        )


def _has_begun(request: RunRequest) -> bool:
    return os.path.exists(RunLayout(request.folder).attempt(request.attempt).folder)


def _has_ended(request: RunRequest) -> bool:
    """Whether the run of a request has ended, or was removed."""
    record = Record(Path(request.folder))
    return not record.is_present or record.has_ended()
