"""Room on the disk: who has patience waits for it, and writes then, where others are told that there is none."""

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

FULL = (errno.ENOSPC, errno.EDQUOT)
PAUSE_S = 0.5
"""How long whoever has patience waits before the next try."""

LEAST_BYTES = 1 << 16  # what a script needs to say anything at all

_patience = []  # type: list[typing.Callable[[OSError], bool]]


def wait_when_full(*wait):
    # type: (typing.Callable[[OSError], bool]) -> list[typing.Callable[[OSError], bool]]
    """From now on let `wait` wait in this process where a disk is full; what it returns is whether to try again.

    Returns what waited before.
    """
    before, _patience[:] = list(_patience), wait
    return before


def fail_when_full():
    # type: () -> None
    wait_when_full()


def retry_while_full(write, path=None):
    # type: (typing.Callable[[], typing.Any], str | None) -> typing.Any
    """Call `write`, again and again where the disk is full and this process has patience; what it returns comes back.

    An OSError names `path` where it names no file.
    """
    while True:
        try:
            return write()
        except OSError as error:
            if error.filename is None and path is not None:
                error.filename = path
            if error.errno not in FULL or not _patience or not _patience[0](error):
                raise


def is_full(folder):
    # type: (str) -> bool
    """Whether nothing more can be written in a folder."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < LEAST_BYTES or (found.f_files > 0 and found.f_favail == 0)
