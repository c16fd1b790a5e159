"""Header limit: how many bytes a connection may send before they make a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MAX_BYTES = 1 << 16
"""The default limit of uvicorn's other parser, h11."""

MAX_HEADERS = 1000
"""After the body of a request that was refused; the body is read to its end."""

BODY = b'{"error": {"message": "the headers are larger than %d bytes", "row": null, "column": null}}' % MAX_BYTES
RESPONSE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


def header_limited(protocol: type, report: Callable[[], None]) -> type:
    """uvicorn's `protocol` with the limit; `report` is called if it lacks the attributes that this needs."""
    members = {"_receive": protocol.data_received, "_report": staticmethod(report)}  # type: ignore[attr-defined]
    return type(protocol.__name__, (HeaderLimitedProtocol, protocol), members)


class HeaderLimitedProtocol:
    """A connection of uvicorn's that is closed once it sends too much that is neither a request nor part of a body."""

    _receive: Any  # uvicorn's own data_received
    _report: Any
    _idle_bytes = 0

    def data_received(self: Any, data: bytes) -> None:
        try:
            scope = self.scope
        except AttributeError:
            self._switch_off()
            self._receive(data)
            return
        self._receive(data)
        if self.scope is scope:  # no request has begun
            try:
                self._count(len(data))
            except AttributeError:
                self._switch_off()
        else:
            self._idle_bytes = 0

    def _switch_off(self: Any) -> None:
        """Leave all further connections to uvicorn alone, since its attributes have changed."""
        self._report()
        for kind in type(self).__mro__:
            if "_receive" in vars(kind):
                kind.data_received = self._receive.__func__  # type: ignore[attr-defined]
                return

    def _count(self: Any, size: int) -> None:
        cycle = self.cycle
        is_inside = cycle is not None and cycle.scope is self.scope  # after the headers
        if is_inside and cycle.response_complete:
            # the rest of a refused body is read: a client that is cut off may not see its answer
            goes_on = len(self.headers) <= MAX_HEADERS
        else:
            goes_on = is_inside and bool(cycle.body)
        self._idle_bytes = 0 if goes_on else self._idle_bytes + size
        if self._idle_bytes > MAX_BYTES:
            self._end()

    def _end(self: Any) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()  # an answer is still to come, and this one would be read in its place
            return
        self.transport.write(RESPONSE)
        self.transport.close()
