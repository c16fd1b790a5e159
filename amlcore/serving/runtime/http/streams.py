"""Streams: what a worker prints never waits for whoever reads it, and is dropped where nobody does.

A terminal that was stopped, `less`, or a collector of logs that hangs would otherwise hold up every answer.
"""

from __future__ import annotations

import io
import logging
import os
import stat
import sys
from contextlib import suppress
from typing import Any


class Dropping(io.RawIOBase):
    """A descriptor that takes what there is room for, and drops the rest."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: Any) -> int:
        with suppress(OSError):  # no room, no reader, or no disk
            os.write(self._descriptor, data)
        return len(data)


def never_wait() -> None:
    """Let this process write to its standard output and error without ever waiting."""
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        with suppress(OSError):
            _reopen(descriptor)
        old = getattr(sys, name)
        new = io.TextIOWrapper(Dropping(descriptor), "utf-8", "backslashreplace", write_through=True)  # type: ignore[type-var]
        setattr(sys, name, new)
        _redirect(old, new)


def _reopen(descriptor: int) -> None:
    """Have a pipe or terminal of one's own: to set a shared one not to wait would set it for all that share it."""
    kind = os.fstat(descriptor).st_mode
    if not stat.S_ISFIFO(kind) and not os.isatty(descriptor):
        return
    own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        os.dup2(own, descriptor)
    finally:
        os.close(own)


def _redirect(old: Any, new: Any) -> None:
    """Give the handlers of the log the new stream in place of the old one."""
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        if isinstance(handler, logging.StreamHandler) and handler.stream is old:
            handler.setStream(new)
