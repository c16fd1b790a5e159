"""Compat: where the service uses parts of BentoML and uvicorn that they do not document.

Read and found the same in BentoML 1.3.0 to 1.4.39 and uvicorn 0.3 to 0.54. Another version may differ: each function
here then leaves it as it is, which is slower or less strict and answers the same, and says so once in the log.
"""

from __future__ import annotations

import inspect
import logging
import os
import socket
import sys
from functools import cache
from importlib import metadata
from typing import Any

from .http.header_limit import header_limited

KNOWN = {"bentoml": "1.3.0 to 1.4.39", "uvicorn": "0.3 to 0.54"}

DO_NOT_TRACK = "BENTOML_DO_NOT_TRACK"

log = logging.getLogger("bentoml.serve")

_full_name = socket.getfqdn


@cache  # once a process
def report_unknown(package: str, consequence: str) -> None:
    """Log that a package is not as it was when this was written."""
    log.warning("%s %s differs from %s: %s", package, metadata.version(package), KNOWN[package], consequence)


def can_wrap_asgi(service: Any) -> bool:
    """Whether `service`, BentoML's class, makes its ASGI application in `to_asgi(is_main=True)`.

    An override that BentoML does not call would leave the service without its guards.
    """
    to_asgi = getattr(service, "to_asgi", None)
    parameters = inspect.signature(to_asgi).parameters.values() if to_asgi is not None else ()
    defaults = [(parameter.name, parameter.default) for parameter in parameters]
    if defaults == [("self", inspect.Parameter.empty), ("is_main", True)]:
        return True
    report_unknown("bentoml", "requests pass through its middleware first, which is slower")
    return False


def limit_headers() -> None:
    """Bound the headers of each connection of this process: httptools keeps all of them, at many times their size."""
    from uvicorn.protocols.http import auto

    parser: Any = auto.AutoHTTPProtocol
    if parser.__name__ != "HttpToolsProtocol":  # the other one, of h11, has a limit of its own
        return
    auto.AutoHTTPProtocol = header_limited(
        parser, lambda: report_unknown("uvicorn", "the size of a request's headers is not limited")
    )


def avoid_lookups() -> None:
    """Resolve no host name in the processes of a service, this machine's own included, whoever started them."""
    os.environ[DO_NOT_TRACK] = "True"
    usage = sys.modules.get("bentoml._internal.utils.analytics.usage_stats")
    # `bentoml serve` read the variable before it loaded the service, and caches the answer
    forget = getattr(getattr(usage, "do_not_track", None), "cache_clear", None)
    if forget is not None:
        forget()
    # Circus, which watches the workers, asks for the full name of this machine and does not use it
    socket.getfqdn = _host_name
    utils = sys.modules.get("bentoml._internal.utils")
    reserve = getattr(getattr(utils, "reserve_free_port", None), "__wrapped__", None)
    defaults = getattr(reserve, "__defaults__", None) or ()
    if reserve is not None and defaults[:1] == ("localhost",):
        reserve.__defaults__ = ("127.0.0.1", *defaults[1:])


def _host_name(name: str = "") -> str:
    return _full_name(name) if name else socket.gethostname()
