"""The guards of built environments: one process builds, many use, and nobody removes what is in use."""

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
def exclusive_lock(path: Path, *, waiting: Callable[[], None], passing: bool = False) -> Iterator[int]:
    """Holds the lock at `path` alone; calls `waiting` once if another process has it.

    Yields its descriptor: whoever inherits it keeps the lock taken. A `passing` one is removed afterwards.
    """
    told = False
    while True:
        stream = open_guard(path)
        if not flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB):
            if not told:
                waiting()
                told = True
            flock(stream, fcntl.LOCK_EX)
        if is_current(stream, path):
            break
        stream.close()
    with stream:
        try:
            yield stream.fileno()
        finally:
            if passing:
                path.unlink(missing_ok=True)


def shared_lock(path: Path) -> BinaryIO:
    """Holds the lock at `path` together with others, for as long as the file that it returns is open anywhere."""
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
        Where the environment was removed since it was built.
    """
    layout = EnvironmentLayout(python.parent.parent.parent)
    if python != layout.python or not layout.is_named_by_key:
        return Path(os.devnull).open("rb")
    held = shared_lock(layout.guard)
    if not layout.is_ready():
        held.close()
        raise BuildError(f"the environment in {layout.folder} was removed after it was built; start again")
    return held


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
            f"the cache of environments cannot be written: {path.parent}: {error.strerror}; "
            "the variable AMLCORE_ENVIRONMENTS names another folder"
        ) from None


def flock(stream: BinaryIO, operation: int) -> bool:
    try:
        fcntl.flock(stream, operation)
    except BlockingIOError:
        return False
    except OSError as error:
        raise BuildError(
            f"the cache of environments is on a filesystem without locks: {stream.name}: {error.strerror}; "
            "the variable AMLCORE_ENVIRONMENTS names another folder"
        ) from None
    return True


def is_current(stream: BinaryIO, path: Path) -> bool:
    """Whether the locked file is still the one at `path`: `prune` removes guards while it holds them."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except FileNotFoundError:
        return False
