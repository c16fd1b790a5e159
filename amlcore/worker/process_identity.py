"""Identifies a process beyond its pid, which another one may get later, and tells whether it still runs."""

import os
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401


def identity(pid=None):
    # type: (int | None) -> dict[str, typing.Any]
    """A process for as long as its machine is up: host, boot, pid and start time."""
    pid = os.getpid() if pid is None else pid
    me = os.getuid()
    return {"host": socket.gethostname(), "boot": _boot_id(), "pid": pid, "started": _start_ticks(pid), "uid": me}


def is_alive(process):
    # type: (dict[str, typing.Any]) -> bool | None
    """Whether the process of an `identity` still runs; None if this host cannot know."""
    if process["host"] != socket.gethostname():
        return None
    if process["boot"] != _boot_id():
        return False
    started = _start_ticks(process["pid"])
    if started is None and process.get("uid", os.getuid()) != os.getuid() and not os.path.exists("/proc/1"):
        return None  # /proc is mounted with hidepid: other users' processes are invisible
    return started is not None and started == process["started"]


def current_user():
    # type: () -> str
    """The name of this user, or the user id if it has no name, as in a container."""
    import getpass  # not at the top: it takes a while, and few workers need it

    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return str(os.getuid())


def _boot_id():
    # type: () -> str
    try:
        with open("/proc/sys/kernel/random/boot_id") as stream:
            return stream.read().strip()
    except OSError:
        return ""


def _start_ticks(pid):
    # type: (int) -> int | None
    """Clock ticks from boot to the start of `pid`, field 22 of proc(5)'s stat; None if it has ended or is a zombie."""
    try:
        with open("/proc/{}/stat".format(pid)) as stream:
            fields = stream.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
