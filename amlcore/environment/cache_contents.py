"""The built environments of a cache: listed, and pruned when unused."""

import fcntl
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from amlcore.environment.cache_layout import CacheLayout, EnvironmentLayout
from amlcore.environment.guard import flock, is_current, open_guard
from amlcore.errors import RecordError
from amlcore.log import Log
from amlcore.record.reading import read_document

_DAY_S = 86400.0


@dataclass(frozen=True)
class CachedEnvironment:
    """One environment of the cache, for lists."""

    key: str
    names: tuple[str, ...]
    python: str | None  # "3.11.7"; None, as the next three, where it is not ready
    size_bytes: int | None  # sum of its files; hard links share most of it with uv's own cache
    created: float | None  # epoch seconds
    last_used: float | None  # epoch seconds
    ready: bool
    folder: Path


def list_environments(cache: Path) -> list[CachedEnvironment]:
    """All environments of the cache, the most recently used first."""
    environments = [_describe(layout) for layout in CacheLayout(cache).environments() if layout.folder.is_dir()]
    return sorted(environments, key=lambda one: one.last_used or 0.0, reverse=True)


def prune(cache: Path, *, unused_days: float, log: Log | None = None, dry_run: bool = False) -> list[CachedEnvironment]:
    """Remove unused environments, half-built remains and old resolutions, but nothing that a process holds.

    Returns
    -------
    The environments that were removed, or that would be in a `dry_run`, which removes nothing.
    """
    before = time.time() - unused_days * _DAY_S
    layout = CacheLayout(cache)
    environments = layout.environments()
    if dry_run:
        return [one for item in environments if (one := _describe_old(item, before)) is not None]
    removed = [one for item in environments if (one := _remove_old(item, before, log)) is not None]
    for path in layout.locks.glob("*.txt"):
        with suppress(FileNotFoundError):
            stat = path.stat()  # written when it was resolved, accessed when it was used
            if max(stat.st_mtime, stat.st_atime) <= before:
                path.unlink()
    return removed


@dataclass
class ReadyRecord:
    """What the build wrote of an environment when it was ready."""

    python: str | None = None
    size_bytes: int | None = None
    created: float | None = None  # epoch seconds


def _describe(layout: EnvironmentLayout) -> CachedEnvironment:
    ready = None
    with suppress(RecordError):  # an environment that cannot be described is listed all the same
        ready = read_document(layout.ready, ReadyRecord)
    ready = ready or ReadyRecord()
    used: float | None = None
    names: tuple[str, ...] = ()
    with suppress(FileNotFoundError):  # another process may remove it at this moment
        used = layout.ready.stat().st_mtime
        names = tuple(sorted(os.listdir(layout.names)))
    return CachedEnvironment(
        key=layout.folder.name,
        names=names,
        python=ready.python,
        size_bytes=ready.size_bytes,
        created=ready.created,
        last_used=used,
        ready=layout.is_ready(),
        folder=layout.folder,
    )


def _is_old(one: CachedEnvironment, before: float) -> bool:
    return not one.ready or one.last_used is None or one.last_used <= before


def _describe_old(layout: EnvironmentLayout, before: float) -> CachedEnvironment | None:
    """The environment if it is old and nobody builds or uses it."""
    one = _describe(layout)
    if not layout.folder.is_dir() or not _is_old(one, before):
        return None
    with open_guard(layout.guard) as stream:
        return one if flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB) else None


def _remove_old(layout: EnvironmentLayout, before: float, log: Log | None) -> CachedEnvironment | None:
    """Remove an environment if it is old and nobody builds or uses it; return it if it was removed."""
    if not _is_old(_describe(layout), before):
        return None
    with open_guard(layout.guard) as stream:
        if not flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB) or not is_current(stream, layout.guard):
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
