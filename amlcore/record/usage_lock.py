"""The usage lock of a workspace: nobody removes a run or a snapshot while something that refers to it is written.

What refers to a run or a snapshot is written under the shared lock: from before the run is looked up, or the snapshot
taken, until the reference is in its file. What removes either looks for references under the exclusive lock.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from amlcore.errors import ExecutionError
from amlcore.worker.files import make_folder, open_to_group

_held = threading.local()
"""The process and the workspace whose lock each thread shares: it must not ask again, and wait for a remover."""


def locks_path(root: Path) -> Path:
    """The folder of the locks of the workspace at `root`."""
    return root / ".amlcore" / "locks"


@contextmanager
def in_use(root: Path) -> Iterator[None]:
    """Hold the usage lock of the workspace at `root` together with others."""
    holder = (os.getpid(), str(root))
    if getattr(_held, "holder", None) == holder or not (root / ".amlcore").is_dir():
        yield
        return
    with ExitStack() as locks:
        # Where the workspace cannot be written, or the filesystem has no locks, nothing is removed.
        # A remover holds the gate while it waits, or many short uses would keep it waiting for ever.
        with suppress(OSError), open_lock(locks_path(root) / "gate") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            fcntl.flock(locks.enter_context(open_lock(locks_path(root) / "usage")), fcntl.LOCK_SH)
        _held.holder = holder
        try:
            yield
        finally:
            _held.holder = None


@contextmanager
def unused(root: Path, *, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the usage lock of the workspace at `root` alone; call `on_wait` once if others have it.

    Raises
    ------
    ExecutionError
        The filesystem has no locks.
    """
    with open_lock(locks_path(root) / "gate") as gate, open_lock(locks_path(root) / "usage") as usage:
        try:
            fcntl.flock(gate, fcntl.LOCK_EX)
            try:
                fcntl.flock(usage, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(usage, fcntl.LOCK_EX)
        except OSError as error:
            raise ExecutionError(
                f"{usage.name} cannot be locked: {error.strerror}; without locks nothing can be removed safely"
            ) from None
        yield


def open_lock(path: Path) -> IO[bytes]:
    """Open the file of a lock, which every user of the workspace may lock."""
    make_folder(path.parent)
    is_new = not path.exists()
    try:
        stream = path.open("ab")
    except PermissionError:  # another user's; to read it is enough, except on NFS
        return path.open("rb")
    if is_new:
        with suppress(PermissionError):  # another user was faster
            open_to_group(str(path))
    return stream
