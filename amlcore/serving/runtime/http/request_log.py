"""Request log: the answers of a few milliseconds are counted and logged together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

FLUSH_S, MAX_OPEN = 0.01, 64
"""Log and metrics lag by at most this many seconds and fewer than this many requests, which `kill -9` loses."""

FLUSH_SOON = MAX_OPEN // 2
"""Flush in the next loop iteration at this count, after the current answers have been sent."""


class LoggedRequest(NamedTuple):
    """What is logged and counted of an answered request."""

    route: str
    status: int
    seconds: float
    request: str
    scope: dict[str, Any]
    received: int
    """Bytes of the body."""
    sent: int
    """Bytes of the answer."""
    predictions: bytes | None = None
    """The answer, if its predictions are to be counted."""


class RequestLog:
    """The requests of the last few milliseconds: logging each by itself would cost as much as a small answer."""

    def __init__(self, write: Callable[[list[LoggedRequest]], None]) -> None:
        self._write = write
        self._open: list[LoggedRequest] = []
        self._is_timed = False

    def add(self, request: LoggedRequest) -> None:
        self._open.append(request)
        if not self._is_timed:
            # one timer, however often the log is flushed before it fires
            self._is_timed = True
            asyncio.get_running_loop().call_later(FLUSH_S, self._timer_fired)
        if len(self._open) == FLUSH_SOON:
            asyncio.get_running_loop().call_soon(self.flush)
        elif len(self._open) == MAX_OPEN:
            self.flush()

    def _timer_fired(self) -> None:
        self._is_timed = False
        self.flush()

    def flush(self) -> None:
        """Count and log the requests that wait."""
        requests, self._open = self._open, []
        if requests:
            self._write(requests)
