"""The access log: a line of JSON a request on standard output."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from functools import lru_cache

from .notes import Note

ATOMIC = 4096
"""A pipe takes this many bytes as a whole, so that the lines of two workers never mix: PIPE_BUF of Linux's pipe(7)."""


class AccessLog:
    """Lines for what was answered; a reader that went away, or a full disk, stops no service."""

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._second = 0
        self._stamp = ""

    def write(self, notes: list[Note]) -> None:
        """A line a note."""
        begin, whole = f'{{"time": "{self._time()}", "request": "', ""
        with suppress(OSError):
            for note in notes:
                scope, client = note.scope, note.scope.get("client")
                middle = _middle(client[0] if client else "", scope["method"], scope["path"][:200])
                line = (
                    f'{begin}{note.request}{middle}{note.status}, "ms": {note.seconds * 1000:.3f}, '
                    f'"received": {note.received}, "sent": {note.sent}}}\n'
                )
                if len(whole) + len(line) > ATOMIC:
                    self._put(whole)
                    whole = ""
                whole += line
            self._put(whole)

    def _put(self, text: str) -> None:
        os.write(self._descriptor, text.encode("ascii", "replace"))  # whatever else there was is escaped in JSON

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
