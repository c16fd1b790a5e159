"""Turns: one thread of one process at a time reads what a run has logged and logs what follows from it."""

import fcntl
import os
import threading
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

_locks = {}  # type: dict[int, threading.RLock]  # by process: a fork may inherit one that a thread holds


@contextmanager
def locked(folder):
    # type: (str) -> typing.Iterator[None]
    """Wait until no other thread or process has its turn in `folder`."""
    # Of the process and not of the open file: a child that is forked meanwhile must not hold it for good.
    with _locks.setdefault(os.getpid(), threading.RLock()):
        os.makedirs(folder, exist_ok=True)
        handle = os.open(os.path.join(folder, ".turn"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.lockf(handle, fcntl.LOCK_EX)
            except OSError:
                pass  # a filesystem without locks
            yield
        finally:
            os.close(handle)
