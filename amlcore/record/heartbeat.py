"""The heartbeat: a thread that renews the files by which other hosts see that this process lives."""

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
"""A heart on another host whose last beat is older than this may stand still."""

GONE_S = 86400.0
"""No two clocks differ by so much."""

WATCH_S = 2.4 * HEARTBEAT_S
"""For how long a heart is watched that seems to stand still: its host's clock may be wrong, or this one's."""

_beating: set[str] = set()
_threads: dict[int, threading.Thread] = {}  # by process: a fork inherits the module, and no thread


def begin(path: str) -> None:
    """Renew the time of the file at `path` from now on, whatever else this process waits for.

    The file holds this process's identity; once it is gone, or holds another's, it is left alone.
    """
    if os.getpid() not in _threads:
        _threads.clear()
        _beating.clear()
        thread = threading.Thread(target=_beat, name="heartbeat", daemon=True)
        _threads[os.getpid()] = thread
        thread.start()
    _beating.add(path)


def end(path: str) -> None:
    _beating.discard(path)


def _beat() -> None:
    me, pause = identity(), threading.Event()
    while not pause.wait(HEARTBEAT_S):
        for path in list(_beating):
            with suppress(OSError, ValueError):  # a filesystem that does not answer now may do so the next time
                if read_json(path) == me:
                    os.utime(path)
                else:
                    _beating.discard(path)


def is_beating(path: str) -> bool:
    """Whether a process of another host goes on renewing the file at `path`.

    Clocks of different hosts are not compared: what seems old is by the clock of the filesystem too, and stays so while
    it is watched.
    """
    beat = _time_of(path)
    if beat is None or abs(time.time_ns() - beat) < LOST_S * 1e9:
        return beat is not None
    age_s = (_filesystem_time(os.path.dirname(path)) - beat) / 1e9
    if abs(age_s) < LOST_S:
        return True
    return age_s < GONE_S and _moves(path)


_watched: dict[str, tuple[int | None, float]] = {}  # the time of each file, and since when it is that


def _moves(path: str) -> bool:
    if path not in _watched:  # and the others at once, so that a list of many does not take as many times as long
        now = time.monotonic()
        for other in (Path(path), *Path(path).parents[2].glob("*/*/driver.json")):
            _watched.setdefault(str(other), (_time_of(str(other)), now))
    while True:
        first, since = _watched[path]
        beat, now = _time_of(path), time.monotonic()
        if beat != first:
            _watched[path] = (beat, now)
            return beat is not None
        if now - since >= WATCH_S:
            return False
        time.sleep(HEARTBEAT_S / 10)


def _time_of(path: str) -> int | None:
    """When the file was last renewed, by its filesystem's clock; None where it is gone."""
    with suppress(FileNotFoundError), open(path, "rb") as stream:  # a shared filesystem looks anew when one is opened
        return os.fstat(stream.fileno()).st_mtime_ns
    return None


def _filesystem_time(folder: str) -> int:
    """What the clock says that gives the files in `folder` their times; this host's own where it cannot be asked."""
    try:
        with tempfile.TemporaryFile(dir=folder) as new:
            return os.fstat(new.fileno()).st_mtime_ns
    except OSError:
        return time.time_ns()
