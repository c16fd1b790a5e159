"""The heartbeat: a thread that touches files so that other hosts see that this process is alive."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from amlcore.worker.files import read_json
from amlcore.worker.process_identity import identity

HEARTBEAT_S = 5.0
LOST_S = 60.0
"""A heartbeat from another host that is older than this may have stopped."""

GONE_S = 86400.0
"""No two clocks are this far apart: a heartbeat that is older has stopped."""

WATCH_S = 2.4 * HEARTBEAT_S
"""How long a heartbeat that seems to have stopped is watched: its host's clock may be wrong, or this one's."""

_beating: set[str] = set()
_threads: dict[int, threading.Thread] = {}  # by process: a fork inherits this module, but no thread


def start(path: str) -> None:
    """Touch the file at `path` regularly from now on, whatever else this process waits for.

    The file holds this process's identity. Once it is removed, or holds another process's, it is left alone.
    """
    if os.getpid() not in _threads:
        _threads.clear()
        _beating.clear()
        thread = threading.Thread(target=_beat, name="heartbeat", daemon=True)
        _threads[os.getpid()] = thread
        thread.start()
    _beating.add(path)


def stop(path: str) -> None:
    """Leave the file at `path` alone from now on."""
    _beating.discard(path)


def _beat() -> None:
    me, pause = identity(), threading.Event()
    while not pause.wait(HEARTBEAT_S):
        for path in list(_beating):
            with suppress(OSError, ValueError):  # a filesystem that does not answer now may answer the next time
                if read_json(path) == me:
                    os.utime(path)
                else:
                    _beating.discard(path)


def is_beating(path: str) -> bool:
    """Whether a process on another host keeps touching the file at `path`.

    This does not rely on the clocks of two hosts agreeing: a heartbeat has stopped if it is old by the filesystem's
    clock as well, and does not change while it is watched.
    """
    beat = _modified_ns(path)
    if beat is None or abs(time.time_ns() - beat) < LOST_S * 1e9:
        return beat is not None
    age_s = (_filesystem_time(os.path.dirname(path)) - beat) / 1e9
    if abs(age_s) < LOST_S:
        return True
    return age_s < GONE_S and _changes(path)


_watched: dict[str, tuple[int | None, float]] = {}  # the time of each file, and when it was first seen


def _changes(path: str) -> bool:
    """Watch the time of a file for `WATCH_S` at most; whether it changes."""
    if path not in _watched:  # the other runs' files at the same time, so that a list of many runs waits only once
        now = time.monotonic()
        for other in (Path(path), *Path(path).parents[2].glob("*/*/driver.json")):
            _watched.setdefault(str(other), (_modified_ns(str(other)), now))
    while True:
        first, since = _watched[path]
        beat, now = _modified_ns(path), time.monotonic()
        if beat != first:
            _watched[path] = (beat, now)
            return beat is not None
        if now - since >= WATCH_S:
            return False
        time.sleep(HEARTBEAT_S / 10)


def _modified_ns(path: str) -> int | None:
    """When the file was last touched, by its filesystem's clock; None if it was removed."""
    with (
        suppress(FileNotFoundError),
        open(path, "rb") as stream,
    ):  # opening a file makes a shared filesystem refresh its attributes
        return os.fstat(stream.fileno()).st_mtime_ns
    return None


def _filesystem_time(folder: str) -> int:
    """The time by the clock that dates the files in `folder`; by this host's clock if nothing can be written there."""
    try:
        with tempfile.TemporaryFile(dir=folder) as new:
            return os.fstat(new.fileno()).st_mtime_ns
    except OSError:
        return time.time_ns()
