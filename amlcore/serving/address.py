"""The address that a service listens on."""

from __future__ import annotations

import errno
import socket

from amlcore.errors import RequestError


def find_address(host: str, port: int) -> str:
    """The numeric address for `--host`: BentoML takes no names."""
    if host == "localhost":
        return "127.0.0.1"
    try:
        addresses = socket.getaddrinfo(host.removeprefix("[").removesuffix("]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a host name"
        hint = "an address of this machine, such as 127.0.0.1 or ::1, 0.0.0.0 for all of them, or its name"
        raise RequestError(f"--host {host}: {reason}; use {hint}") from None
    return str(addresses[0][4][0])


def check_port(host: str, port: int) -> None:
    """Raise RequestError if nothing can listen on `port` of the address `host`."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL):
                raise RequestError(f"--host {host}: this machine does not have that address") from None
            raise RequestError(f"--port {port} on {host}: {error.strerror}; use another port") from None
