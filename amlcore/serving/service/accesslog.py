"""The access log: a line of JSON a request on standard output, written once for each turn of the event loop."""

from __future__ import annotations

import asyncio
import json
import os
import time
from contextlib import suppress
from typing import Any

ATOMIC = 4096
"""A pipe takes this many bytes as a whole, so that the lines of two workers never mix: PIPE_BUF of Linux's pipe(7)."""


class AccessLog:
    """Lines for what was answered; a reader that went away, or a full disk, stops no service."""

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._lines: list[bytes] = []
        self._second = 0
        self._stamp = ""

    def write(
        self, scope: dict[str, Any], *, request: str, status: int, seconds: float, received: int, sent: int
    ) -> None:
        """Note a request; `received` and `sent` are the bytes of the two bodies."""
        client = scope.get("client")
        line = (
            f'{{"time": "{self._time()}", "request": "{request}", "client": "{client[0] if client else ""}", '
            f'"method": {_quoted(scope["method"])}, "path": {_quoted(scope["path"])}, "status": {status}, '
            f'"ms": {seconds * 1000:.3f}, "received": {received}, "sent": {sent}}}\n'
        )
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._flush)
        self._lines.append(line.encode("utf-8", "replace"))

    def _time(self) -> str:
        now = time.time()
        if int(now) != self._second:
            self._second = int(now)
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(self._second))
        return f"{self._stamp}.{int(now * 1000) % 1000:03}Z"

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        whole = b""
        with suppress(OSError):
            for line in lines:
                if len(whole) + len(line) > ATOMIC:
                    os.write(self._descriptor, whole)
                    whole = b""
                whole += line
            os.write(self._descriptor, whole)


def _quoted(text: str) -> str:
    known = KNOWN.get(text)
    return known if known is not None else json.dumps(text[:200])


KNOWN = {text: json.dumps(text) for text in ("GET", "POST", "/predict", "/predict_proba", "/metrics")}
