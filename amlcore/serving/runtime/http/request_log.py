"""Notes: what was answered within some milliseconds, counted and logged together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

SETTLED_S, MOST_OPEN = 0.01, 64
"""The log and the metrics are behind by no more than this time, and by fewer requests than this.

`kill -9` takes them away with the worker.
"""

MANY_OPEN = MOST_OPEN // 2
"""So many are settled in the next turn of the loop, when the answers of this one are on their way."""


class LoggedRequest(NamedTuple):
    """What is kept of a request that was answered."""

    route: str
    status: int
    seconds: float
    request: str
    scope: dict[str, Any]
    received: int
    """Bytes of the request's body."""
    sent: int
    """Bytes of the answer's."""
    predictions: bytes | None = None
    """The answer, where it holds predictions that are to be counted."""


class RequestLog:
    """Those of the last few milliseconds: at once, each would cost as much as a small answer."""

    def __init__(self, settle: Callable[[list[LoggedRequest]], None]) -> None:
        self._settle = settle
        self._open: list[LoggedRequest] = []
        self._is_timed = False

    def add(self, note: LoggedRequest) -> None:
        self._open.append(note)
        if not self._is_timed:
            # one timer, however often it is settled meanwhile
            self._is_timed = True
            asyncio.get_running_loop().call_later(SETTLED_S, self._time_is_over)
        if len(self._open) == MANY_OPEN:
            asyncio.get_running_loop().call_soon(self.settle)
        elif len(self._open) == MOST_OPEN:
            self.settle()

    def _time_is_over(self) -> None:
        self._is_timed = False
        self.settle()

    def settle(self) -> None:
        """Count and log what is not yet."""
        notes, self._open = self._open, []
        if notes:
            self._settle(notes)
