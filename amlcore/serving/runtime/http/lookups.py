"""Lookups: a service asks no resolver for any host's name, its own included, whoever started it."""

from __future__ import annotations

import os
import socket
import sys

VARIABLE = "BENTOML_DO_NOT_TRACK"

_full_name = socket.getfqdn


def avoid() -> None:
    """Switch off what looks up a host in the processes of a service, in those of BentoML's own too.

    What another version of BentoML has elsewhere is left as it is.
    """
    os.environ[VARIABLE] = "True"
    usage = sys.modules.get("bentoml._internal.utils.analytics.usage_stats")
    # `bentoml serve` asked the variable before it loaded the service, and keeps the answer
    forget = getattr(getattr(usage, "do_not_track", None), "cache_clear", None)
    if forget is not None:
        forget()
    # Circus, which watches the workers, wants the full name of this machine, and needs it for nothing
    socket.getfqdn = _name
    utils = sys.modules.get("bentoml._internal.utils")
    reserve = getattr(getattr(utils, "reserve_free_port", None), "__wrapped__", None)
    defaults = getattr(reserve, "__defaults__", None) or ()
    if reserve is not None and defaults[:1] == ("localhost",):
        reserve.__defaults__ = ("127.0.0.1", *defaults[1:])


def _name(name: str = "") -> str:
    return _full_name(name) if name else socket.gethostname()
