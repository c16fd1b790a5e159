"""Locks of built environments: one process builds, many use, and nobody removes what is in use."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from amlcore.environment.cache_layout import EnvironmentLayout
from amlcore.errors import BuildError
from amlcore.worker.files import make_folder, open_to_group


@contextmanager
def exclusive_lock(path: Path, *, on_wait: Callable[[], None], remove: bool = False) -> Iterator[int]:
    """Hold the lock at `path` exclusively; call `on_wait` once if another process has it.

    Yields its descriptor: a process that inherits it holds the lock too. With `remove`, the file is removed afterwards.
    """
    has_waited = False
    while True:
        stream = open_guard(path)
        if not flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB):
            if not has_waited:
                on_wait()
                has_waited = True
            flock(stream, fcntl.LOCK_EX)
        if is_current(stream, path):
            break
        stream.close()
    with stream:
        try:
            yield stream.fileno()
        finally:
            if remove:
                path.unlink(missing_ok=True)


def shared_lock(path: Path) -> BinaryIO:
    """Hold the lock at `path` together with others, while the returned file is open in any process."""
    while True:
        try:
            stream = path.open("rb")
        except FileNotFoundError:
            path.touch()
            continue
        flock(stream, fcntl.LOCK_SH)
        if is_current(stream, path):
            return stream
        stream.close()


def shared_interpreter_lock(python: Path) -> BinaryIO:
    """Keep `prune` away from the environment that `python` belongs to; one outside the cache needs no lock.

    Raises
    ------
    BuildError
        The environment was removed after it was built.
    """
    layout = EnvironmentLayout(python.parent.parent.parent)
    if python != layout.python or not layout.is_named_by_key:
        return Path(os.devnull).open("rb")
    lock = shared_lock(layout.guard)
    if not layout.is_ready():
        lock.close()
        raise BuildError(f"the environment in {layout.folder} was removed after it was built; run the command again")
    return lock


def open_guard(path: Path) -> BinaryIO:
    try:
        make_folder(path.parent)
        is_new = not path.exists()
        stream = path.open("ab")
        if is_new:
            with suppress(PermissionError):  # another user was faster
                open_to_group(str(path))
        return stream
    except OSError as error:
        raise BuildError(
            f"cannot write to the cache of environments {path.parent}: {error.strerror}; "
            "set AMLCORE_ENVIRONMENTS to another folder"
        ) from None


def flock(stream: BinaryIO, operation: int) -> bool:
    try:
        fcntl.flock(stream, operation)
    except BlockingIOError:
        return False
    except OSError as error:
        raise BuildError(
            f"cannot lock {stream.name} in the cache of environments: {error.strerror}; "
            "set AMLCORE_ENVIRONMENTS to a folder on a filesystem that has locks"
        ) from None
    return True


def is_current(stream: BinaryIO, path: Path) -> bool:
    """Whether the locked file is still the one at `path`: `prune` removes guards that it has locked."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except FileNotFoundError:
        return False
