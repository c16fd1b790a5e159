"""A small web server for one person on one machine: a thread for each request, and no log of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

HOST = "127.0.0.1"

Start = Callable[..., Any]
Application = Callable[[dict[str, Any], Start], Iterable[bytes]]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128  # a browser opens a page's forty scripts at once

    def server_bind(self) -> None:
        # http.server asks the resolver for the name of its own address
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a browser that closed its connection."""


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name of the standard library
        """Do not log requests."""


def serve_until_interrupted(application: Application, port: int, *, on_ready: Callable[[], None]) -> None:
    """Serve `application` on loopback until Ctrl-C; `on_ready` is called once the port is open."""
    with make_server(HOST, port, application, server_class=_Server, handler_class=_Quiet) as server:
        on_ready()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return
