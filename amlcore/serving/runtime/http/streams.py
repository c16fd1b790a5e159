"""Streams: a worker never waits for the reader of its output; what nobody reads is dropped.

A stopped terminal, `less`, or a log collector that hangs would otherwise block every answer.
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
    """A descriptor that takes what fits, and drops the rest."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: Any) -> int:
        with suppress(OSError):  # a full pipe, no reader, or a full disk
            os.write(self._descriptor, data)
        return len(data)


def never_wait() -> None:
    """Make standard output and error of this process non-blocking."""
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        with suppress(OSError):
            _reopen(descriptor)
        old = getattr(sys, name)
        new = io.TextIOWrapper(Dropping(descriptor), "utf-8", "backslashreplace", write_through=True)  # type: ignore[type-var]
        setattr(sys, name, new)
        _redirect(old, new)


def _reopen(descriptor: int) -> None:
    """Open the pipe or terminal anew: O_NONBLOCK on a shared one would apply to all that share it."""
    kind = os.fstat(descriptor).st_mode
    if not stat.S_ISFIFO(kind) and not os.isatty(descriptor):
        return
    own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        os.dup2(own, descriptor)
    finally:
        os.close(own)


def _redirect(old: Any, new: Any) -> None:
    """Point the log handlers at the new stream."""
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        if isinstance(handler, logging.StreamHandler) and handler.stream is old:
            handler.setStream(new)
