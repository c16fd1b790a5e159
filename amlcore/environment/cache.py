"""The folder of built environments: who builds, who uses, what is ready, what may go."""

import fcntl
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from amlcore.errors import BuildError, EnvironmentSpecError, RecordError
from amlcore.log import Log
from amlcore.record.ownership import open_tree_to_group, owner_of
from amlcore.record.reading import Number, read_mapping
from amlcore.worker import durable
from amlcore.worker.layout import make_folder, open_to_group, write_json

_DAY_S = 86400.0
_KEY = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class CacheLayout:
    """All names inside the cache."""

    folder: Path

    @property
    def locks(self) -> Path:
        return self.folder / "locks"  # what each definition was first resolved to

    def resolved(self, definition: str) -> Path:
        return self.locks / f"{definition}.txt"

    def environment(self, key: str) -> "EnvironmentLayout":
        return EnvironmentLayout(self.folder / key)

    def environments(self) -> list["EnvironmentLayout"]:
        """Those that are there, and what a failed build left; whatever else lies in the folder is not ours."""
        names = {one.name.removesuffix(".guard") for one in self.folder.glob("*")}
        return [EnvironmentLayout(self.folder / name) for name in sorted(names) if _KEY.fullmatch(name)]


@dataclass(frozen=True)
class EnvironmentLayout:
    """All names of one environment."""

    folder: Path

    @property
    def guard(self) -> Path:
        return self.folder.with_suffix(".guard")  # locked alone by its builder, together by its users

    @property
    def venv(self) -> Path:
        return self.folder / "venv"

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def lock(self) -> Path:
        return self.folder / "lock.txt"

    @property
    def log(self) -> Path:
        return self.folder / "build.log"

    @property
    def names(self) -> Path:
        return self.folder / "names"  # an empty file a name that asked for it

    @property
    def ready(self) -> Path:
        return self.folder / "ready.json"  # written last; its age is that of the last use

    def is_ready(self) -> bool:
        """Whether it was built to its end, and the interpreter below it is still installed."""
        try:
            return self.ready.exists() and self.python.exists()
        except PermissionError as error:
            raise BuildError(
                f"the environment in {self.folder} was built by {owner_of(self.folder)}, and you may not read "
                f"{error.filename}; it can be opened to the group, or AMLCORE_ENVIRONMENTS can name another folder"
            ) from None

    def publish(self, *, python_version: str) -> None:
        open_tree_to_group(self.folder)
        size = sum(path.lstat().st_size for path in self.folder.rglob("*"))
        record = {"python": python_version, "created": time.time(), "size_bytes": size}
        durable.sync_tree(self.folder)  # or what a power cut left of it would count as ready for ever
        write_json(str(self.ready), record, sync=True)

    def mark_used(self, name: str | None) -> None:
        """Notes a use; whoever calls it holds the guard, so that it is there."""
        # Another user's cache can be used without leaving a trace in it.
        with suppress(PermissionError):
            os.utime(self.ready)
            if name is not None:
                self.names.mkdir(exist_ok=True)
                (self.names / name).touch()

    def remove(self) -> None:
        """Removes it so that no one ever sees a part of it as ready."""
        self.ready.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class CachedEnvironment:
    """One environment of the cache, for lists."""

    key: str
    names: tuple[str, ...]
    python: str | None  # "3.11.7"; None, as the next three, where it is not ready
    size_bytes: int | None  # what its files count; hard links share most of it with uv's own cache
    created: float | None  # epoch seconds
    last_used: float | None  # epoch seconds
    ready: bool
    folder: Path


def list_environments(cache: Path) -> list[CachedEnvironment]:
    """All environments of the cache, the last used first."""
    found = [_describe(layout) for layout in CacheLayout(cache).environments() if layout.folder.is_dir()]
    return sorted(found, key=lambda one: one.last_used or 0.0, reverse=True)


def prune(cache: Path, *, unused_days: float, log: Log | None = None) -> list[CachedEnvironment]:
    """Removes what was not used for so long, half-built remains, and old resolutions; never what a process holds.

    Returns
    -------
    The environments that were removed.
    """
    before = time.time() - unused_days * _DAY_S
    layout = CacheLayout(cache)
    removed = [one for item in layout.environments() if (one := _remove_old(item, before, log)) is not None]
    for path in layout.locks.glob("*.txt"):
        with suppress(FileNotFoundError):
            stat = path.stat()  # written when it was resolved, accessed when it was used
            if max(stat.st_mtime, stat.st_atime) <= before:
                path.unlink()
    return removed


def check_folder(cache: Path) -> None:
    """Make sure that environments work below `cache`.

    Raises
    ------
    EnvironmentSpecError
        `PATH` would be split within it, so that a script's children got another Python; or it would break the files
        that say where an environment lies.
    """
    wrong = next(iter(re.findall(f"[{os.pathsep}\\x00-\\x1f\\x7f\\ud800-\\udfff]", str(cache))), None)
    if wrong is not None:
        named = ascii(wrong)
        raise EnvironmentSpecError(
            f"environments cannot lie in {str(cache)!r}, since {named} stands in its name"
            + (", where PATH is split" if wrong == os.pathsep else "")
            + "; the variable AMLCORE_ENVIRONMENTS or workspace.environments_folder names another folder"
        )


@contextmanager
def alone(path: Path, *, waiting: Callable[[], None], passing: bool = False) -> Iterator[int]:
    """Holds the lock at `path` alone; calls `waiting` once if another process has it.

    Yields its descriptor: whoever inherits it keeps the lock taken. A `passing` one is removed afterwards.
    """
    told = False
    while True:
        stream = _open_guard(path)
        if not _lock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB):
            if not told:
                waiting()
                told = True
            _lock(stream, fcntl.LOCK_EX)
        if _is_current(stream, path):
            break
        stream.close()
    with stream:
        try:
            yield stream.fileno()
        finally:
            if passing:
                path.unlink(missing_ok=True)


def hold(path: Path) -> BinaryIO:
    """Holds the lock at `path` together with others, for as long as the file that it returns is open anywhere."""
    while True:
        try:
            stream = path.open("rb")
        except FileNotFoundError:
            path.touch()
            continue
        _lock(stream, fcntl.LOCK_SH)
        if _is_current(stream, path):
            return stream
        stream.close()


def hold_interpreter(python: Path) -> BinaryIO:
    """Holds the environment that the interpreter `python` belongs to as `hold` does; one of no cache needs no holding.

    Raises
    ------
    BuildError
        Where the environment was removed since it was built.
    """
    layout = EnvironmentLayout(python.parent.parent.parent)
    if python != layout.python or not _KEY.fullmatch(layout.folder.name):
        return Path(os.devnull).open("rb")
    held = hold(layout.guard)
    if not layout.is_ready():
        held.close()
        raise BuildError(f"the environment in {layout.folder} was removed after it was built; start again")
    return held


def _describe(layout: EnvironmentLayout) -> CachedEnvironment:
    record: dict[str, Any] = {}
    with suppress(RecordError):  # what is told of it, and nothing more
        record = read_mapping(layout.ready, {}, {"python": str, "size_bytes": int, "created": Number}) or {}
    used: float | None = None
    names: tuple[str, ...] = ()
    with suppress(FileNotFoundError):  # another process may remove it at this moment
        used = layout.ready.stat().st_mtime
        names = tuple(sorted(os.listdir(layout.names)))
    return CachedEnvironment(
        key=layout.folder.name,
        names=names,
        python=record.get("python"),
        size_bytes=record.get("size_bytes"),
        created=record.get("created"),
        last_used=used,
        ready=layout.is_ready(),
        folder=layout.folder,
    )


def _is_old(one: CachedEnvironment, before: float) -> bool:
    return not one.ready or one.last_used is None or one.last_used <= before


def _remove_old(layout: EnvironmentLayout, before: float, log: Log | None) -> CachedEnvironment | None:
    """Removes an environment that is old, unless someone builds or uses it; returns it if there was one."""
    if not _is_old(_describe(layout), before):
        return None
    with _open_guard(layout.guard) as stream:
        if not _lock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB) or not _is_current(stream, layout.guard):
            return None
        one = _describe(layout)  # it may have been used until the lock was taken
        was_there = layout.folder.is_dir()
        if not _is_old(one, before):
            return None
        layout.remove()
        layout.guard.unlink(missing_ok=True)
    if not was_there:
        return None
    if log is not None:
        log(f"removed {', '.join(one.names) or 'a nameless environment'} (Python {one.python or '?'}): {one.folder}")
    return one


def _open_guard(path: Path) -> BinaryIO:
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


def _lock(stream: BinaryIO, operation: int) -> bool:
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


def _is_current(stream: BinaryIO, path: Path) -> bool:
    """Whether the locked file is still the one at `path`: `prune` removes guards while it holds them."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except FileNotFoundError:
        return False
