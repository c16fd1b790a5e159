"""The fingerprint of a run's folder: it changes with everything that a row of an ended run shows.

The modification time of the folder tells of each file that was created in it or replaced by a rename: its state, its
marks, the first registered model. What may be written in place is watched besides. So that a run which has ended costs
few calls of a shared filesystem, whoever logs to one touches its folder.
"""

from __future__ import annotations

import os
import time

_WATCHED = ("state.json", "models.jsonl")

_TICK_S = 0.1
"""Times of files are at least so exact where they have fractions of a second."""

_COARSE_TICK_S = 2.0


def watched_files(folder: str) -> str:
    """The paths of those watched files that the run has, each with a slash before it and a colon between them."""
    return ":".join(f"/{name}" for name in _WATCHED if os.path.lexists(f"{folder}/{name}"))


def fingerprint(folder: str, folder_time_ns: int, watched: str) -> int:
    """The fingerprint of a run's folder.

    Parameters
    ----------
    folder_time_ns : int
        The modification time of the folder.
    watched : str
        What `watched_files` returned when the run was read.

    Raises
    ------
    OSError
        A watched file is gone, or may not be examined.
    """
    value = folder_time_ns
    for name in watched.split(":"):
        status = os.stat(folder + name)
        value = ((value * 1_000_003 + status.st_mtime_ns) * 1_000_003 + status.st_size) & 0x7FFF_FFFF_FFFF_FFFF
    return value


def is_settled(folder: str, watched: str) -> bool:
    """Whether any later change would be seen: the clock of the files has ticked since the last one."""
    latest_ns = max(os.stat(folder + name).st_mtime_ns for name in ("", *watched.split(":")))
    tick_s = _TICK_S if latest_ns % 1_000_000_000 else _COARSE_TICK_S
    return time.time() - latest_ns / 1e9 > tick_s
