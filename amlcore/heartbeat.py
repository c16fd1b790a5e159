"""The heartbeat: a thread that renews the files by which other hosts see that this process lives."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

from amlcore.worker.layout import identity, read_json

HEARTBEAT_S = 5.0

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
