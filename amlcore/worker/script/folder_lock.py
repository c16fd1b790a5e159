"""A lock on a run's folder, for one thread of one process at a time."""

import fcntl
import os
import threading
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

_locks = {}  # type: dict[int, threading.RLock]  # by process, since a fork may inherit a lock that is held


@contextmanager
def locked(folder):
    # type: (str) -> typing.Iterator[None]
    """Hold the lock of `folder`; waits while another thread or process holds it."""
    # lockf belongs to the process, not to the open file, so a child forked meanwhile does not keep the lock.
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
