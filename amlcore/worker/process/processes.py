"""Finds, measures and ends the processes of a run, by /proc."""

import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def adopt_orphans():
    # type: () -> None
    """Become the parent of every descendant whose own parent ends, so that none escapes."""
    loaded = set(sys.modules)
    try:
        import ctypes

        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        pass  # most of them are still found by their session
    for name in [name for name in sys.modules if name not in loaded and not name.startswith("_")]:
        del sys.modules[name]  # a script is forked from here and must not find it loaded


def children(parent):
    # type: (int) -> list[int]
    """The living processes whose parent is `parent`."""
    entries = ((int(name), _stat(name)) for name in os.listdir("/proc") if name.isdigit())
    return [pid for pid, entry in entries if entry is not None and entry[0] == parent]


def family(root, session):
    # type: (int, int) -> dict[int, int]
    """The living descendants of `root` and members of `session`, without `root`, as {pid: resident bytes}."""
    table = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            entry = _stat(name)
            if entry is not None:
                table[int(name)] = entry
    members = {pid for pid, entry in table.items() if entry[1] == session and pid != root}
    is_complete = False
    while not is_complete:
        parents = members | {root}
        more = {pid for pid, entry in table.items() if entry[0] in parents and pid not in parents}
        members |= more
        is_complete = not more
    return {pid: table[pid][2] for pid in members}


def _stat(pid):
    """Parent, session and resident bytes of a process; None if it has ended or is a zombie. See stat in proc(5)."""
    try:
        with open("/proc/{}/stat".format(pid)) as stream:
            fields = stream.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else (int(fields[1]), int(fields[3]), int(fields[21]) * PAGE_BYTES)


def memory_bytes(members, limit):
    """The memory in bytes of `members`, as returned by `family`.

    Forked processes share pages, which the sum of their resident sizes counts several times. If that sum is above
    `limit`, shared pages are counted in proportion, which is slower to read.
    """
    total = sum(members.values())
    if total <= limit or len(members) < 2:
        return total
    return max(*members.values(), sum(_proportional_bytes(pid, size) for pid, size in members.items()))


def _proportional_bytes(pid, resident):
    try:
        with open("/proc/{}/smaps_rollup".format(pid)) as stream:
            for line in stream:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resident


def send(number, session, members):
    # type: (int, int, typing.Iterable[int]) -> None
    """Send a signal to the process group `session`, then to the members that have left it."""
    try:
        os.killpg(session, number)
    except (ProcessLookupError, PermissionError):
        pass
    for pid in members:
        try:
            if os.getpgid(pid) != session:
                os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass


def signal_name(number):
    # type: (int) -> str
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return "signal {}".format(number)


def kill_session(session):
    """Kill all processes of a session whose supervisor has ended."""
    deadline = time.time() + 5
    members = family(-1, session)
    while members and time.time() < deadline:
        send(signal.SIGKILL, session, members)
        time.sleep(0.01)
        members = family(-1, session)
