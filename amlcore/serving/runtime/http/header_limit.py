"""Head: how much a connection may bring before there is a request."""

from __future__ import annotations

import sys
from typing import Any

MOST_BYTES = 1 << 16
"""What uvicorn's other parser takes by default."""

MOST_HEADERS = 1000
"""Those behind a body that is read to its end, though its request was refused."""

NEEDED = frozenset(("scope", "cycle", "headers", "transport"))
OF_CYCLE = frozenset(("scope", "body", "response_complete"))
"""What uvicorn's connections and their requests have, in the version that this was written for."""

BODY = b'{"error": {"message": "the headers are larger than %d bytes", "row": null, "column": null}}' % MOST_BYTES
ANSWER = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


def limit_headers() -> None:
    """Let no connection of this process send headers without end: httptools keeps all, at many times their size."""
    from uvicorn.protocols.http import auto

    parser: Any = auto.AutoHTTPProtocol
    cycle = getattr(sys.modules[parser.__module__], "RequestResponseCycle", None)
    # another version of uvicorn may have it otherwise: it is left alone then
    if parser.__name__ == "HttpToolsProtocol" and _attributes(parser) >= NEEDED and _attributes(cycle) >= OF_CYCLE:
        auto.AutoHTTPProtocol = type(
            "LimitedProtocol", (HeaderLimitedProtocol, parser), {"_receive": parser.data_received}
        )


def _attributes(kind: Any) -> frozenset[str]:
    """What the constructor of a class names, the attributes that it sets among them."""
    return frozenset(getattr(getattr(kind.__init__, "__code__", None), "co_names", ()))


class HeaderLimitedProtocol:
    """A connection of uvicorn's that ends where what it brings is neither a request nor more of a body."""

    _receive: Any  # uvicorn's own data_received
    _idle_bytes = 0

    def data_received(self: Any, data: bytes) -> None:
        scope = self.scope
        self._receive(data)
        if self.scope is scope:  # no request has begun
            self._count(len(data))
        else:
            self._idle_bytes = 0

    def _count(self: Any, size: int) -> None:
        cycle = self.cycle
        is_inside = cycle is not None and cycle.scope is self.scope  # behind the headers
        if is_inside and cycle.response_complete:
            # the rest of a body whose request was refused is read: a client that is cut off may not see its answer
            goes_on = len(self.headers) <= MOST_HEADERS
        else:
            goes_on = is_inside and bool(cycle.body)
        self._idle_bytes = 0 if goes_on else self._idle_bytes + size
        if self._idle_bytes > MOST_BYTES:
            self._end()

    def _end(self: Any) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()  # an answer is still to come, and this one would stand in its place
            return
        self.transport.write(ANSWER)
        self.transport.close()
