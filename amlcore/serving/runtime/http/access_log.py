"""The access log: one line of JSON for each request on standard output."""

from __future__ import annotations

import json
import os
import time
from functools import lru_cache

from .request_log import LoggedRequest

ATOMIC = 4096
"""Bytes that a pipe takes at once, so that the lines of two workers never mix: PIPE_BUF, see Linux's pipe(7)."""


NOTICE = 80
"""Bytes for the line that counts dropped ones."""


class AccessLog:
    """Writes the lines; a reader that has exited, or a full disk, does not stop the service."""

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._dropped = 0  # lines that could not be written; reported with the next that can
        self._second = 0
        self._stamp = ""

    def write(self, requests: list[LoggedRequest]) -> None:
        """A line for each request."""
        begin, whole = f'{{"time": "{self._time()}", "request": "', ""
        for request in requests:
            scope, client = request.scope, request.scope.get("client")
            middle = _middle(client[0] if client else "", scope["method"], scope["path"][:200])
            line = (
                f'{begin}{request.request}{middle}{request.status}, "ms": {request.seconds * 1000:.3f}, '
                f'"received": {request.received}, "sent": {request.sent}}}\n'
            )
            if len(whole) + len(line) > ATOMIC - NOTICE:
                self._put(whole)
                whole = ""
            whole += line
        self._put(whole)

    def _put(self, text: str) -> None:
        """Write lines if there is room for them; streams.py says why nothing waits."""
        notice = f'{{"time": "{self._time()}", "dropped": {self._dropped}}}\n' if self._dropped else ""
        try:
            # JSON escapes whatever is not ASCII
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
    """The part that all lines about one client and one path share."""
    who = json.dumps(client[:100])  # uvicorn takes it from the X-Forwarded-For of a proxy on this machine
    return f'", "client": {who}, "method": {json.dumps(method)}, "path": {json.dumps(path)}, "status": '
