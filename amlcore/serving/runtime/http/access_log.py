"""The access log: a line of JSON a request on standard output."""

from __future__ import annotations

import json
import os
import time
from functools import lru_cache

from .request_log import LoggedRequest

ATOMIC = 4096
"""A pipe takes this many bytes as a whole, so that the lines of two workers never mix: PIPE_BUF of Linux's pipe(7)."""


NOTICE = 80
"""Room for the line that tells of those that were dropped."""


class AccessLog:
    """Lines for what was answered; a reader that went away, or a full disk, stops no service."""

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._dropped = 0  # lines that nobody took; told as soon as somebody does
        self._second = 0
        self._stamp = ""

    def write(self, notes: list[LoggedRequest]) -> None:
        """A line a note."""
        begin, whole = f'{{"time": "{self._time()}", "request": "', ""
        for note in notes:
            scope, client = note.scope, note.scope.get("client")
            middle = _middle(client[0] if client else "", scope["method"], scope["path"][:200])
            line = (
                f'{begin}{note.request}{middle}{note.status}, "ms": {note.seconds * 1000:.3f}, '
                f'"received": {note.received}, "sent": {note.sent}}}\n'
            )
            if len(whole) + len(line) > ATOMIC - NOTICE:
                self._put(whole)
                whole = ""
            whole += line
        self._put(whole)

    def _put(self, text: str) -> None:
        """Write lines if there is room for them; see streams.py for why nobody waits for it."""
        notice = f'{{"time": "{self._time()}", "dropped": {self._dropped}}}\n' if self._dropped else ""
        try:
            # whatever is not ASCII is escaped in JSON already
            os.write(self._descriptor, (notice + text).encode("ascii", "replace"))
        except OSError:
            self._dropped += text.count("\n")
        else:
            self._dropped = 0

    def _time(self) -> str:
        now = time.time()
        if int(now) != self._second:
            self._second = int(now)
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(self._second))
        return f"{self._stamp}.{int(now * 1000) % 1000:03}Z"


@lru_cache(maxsize=256)
def _middle(client: str, method: str, path: str) -> str:
    """What is the same in all lines about one client and one path."""
    who = json.dumps(client[:100])  # uvicorn takes it from X-Forwarded-For, where a proxy on this machine sends one
    return f'", "client": {who}, "method": {json.dumps(method)}, "path": {json.dumps(path)}, "status": '
