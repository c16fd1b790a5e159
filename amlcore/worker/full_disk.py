"""A full disk: a process may wait for free space and retry, or fail at once."""

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

FULL_DISK_ERRNOS = (errno.ENOSPC, errno.EDQUOT)
PAUSE_S = 0.5
"""The pause between two tries to write."""

LEAST_BYTES = 1 << 16  # less than this counts as full: a script could hardly log anything

_waits = []  # type: list[typing.Callable[[OSError], bool]]


def wait_when_full(*wait):
    # type: (typing.Callable[[OSError], bool]) -> list[typing.Callable[[OSError], bool]]
    """Call `wait(error)` from now on whenever a write of this process meets a full disk; it returns whether to retry.

    Returns the functions that were set before, to be set again later.
    """
    before, _waits[:] = list(_waits), wait
    return before


def fail_when_full():
    # type: () -> None
    wait_when_full()


def retry_while_full(write, path=None):
    # type: (typing.Callable[[], typing.Any], str | None) -> typing.Any
    """Call `write`, and retry while the disk is full if this process waits then; returns what `write` returns.

    An OSError without a file name gets `path` as its name.
    """
    while True:
        try:
            return write()
        except OSError as error:
            if error.filename is None and path is not None:
                error.filename = path
            if error.errno not in FULL_DISK_ERRNOS or not _waits or not _waits[0](error):
                raise


def is_full(folder):
    # type: (str) -> bool
    """Whether the disk that holds `folder` is full."""
    try:
        status = os.statvfs(folder)
    except OSError:
        return False
    return status.f_bavail * status.f_frsize < LEAST_BYTES or (status.f_files > 0 and status.f_favail == 0)
