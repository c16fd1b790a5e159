"""The address that a service listens on."""

from __future__ import annotations

import errno
import socket

from amlcore.errors import RequestError


def find_address(host: str, port: int) -> str:
    """The address of this machine that `--host` means: BentoML takes no names."""
    if host == "localhost":
        return "127.0.0.1"
    try:
        found = socket.getaddrinfo(host.removeprefix("[").removesuffix("]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not a name"
        legal = "an address of this machine, such as 127.0.0.1 or ::1, 0.0.0.0 for all of them, or its name"
        raise RequestError(f"--host {host}: {said}; use {legal}") from None
    return str(found[0][4][0])


def check_port(host: str, port: int) -> None:
    """Raises RequestError where nothing can listen on `port` of the address `host`."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL):
                raise RequestError(f"--host {host}: this machine does not have that address") from None
            raise RequestError(f"--port {port} on {host}: {error.strerror}; choose another") from None
