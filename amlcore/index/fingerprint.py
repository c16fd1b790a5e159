"""The fingerprint of a run's folder: it changes with everything that a row of an ended run shows.

The modification time of the folder tells of each file that was created in it or replaced by a rename: its state, its
marks, the first registered model. What may be written in place is watched besides. So that a run which has ended costs
few calls of a shared filesystem, whoever logs to one touches its folder.
"""

from __future__ import annotations

import os
import time

WATCHED = ("state.json", "models.jsonl", "metrics")

_TICK_S = 0.1
"""Times of files are at least so exact where they have fractions of a second."""

_COARSE_TICK_S = 2.0


def watched_files(folder: str) -> str:
    """The names of those watched files that the run has, with a slash before each."""
    return "".join(f"/{name}" for name in WATCHED if os.path.lexists(f"{folder}/{name}"))


def fingerprint(folder: str, folder_time_ns: int, watched: str) -> tuple[int, int]:
    """The fingerprint of a run's folder, and the latest time of what is watched, in nanoseconds.

    Raises
    ------
    OSError
        A watched file is gone, or may not be examined.
    """
    value = latest_ns = folder_time_ns
    for name in watched.split("/")[1:]:
        status = os.stat(f"{folder}/{name}")
        time_ns = status.st_mtime_ns
        value = ((value * 1_000_003 + time_ns) * 1_000_003 + status.st_size) & 0x7FFF_FFFF_FFFF_FFFF
        latest_ns = max(latest_ns, time_ns)
    return value, latest_ns


def is_settled(latest_ns: int) -> bool:
    """Whether a later change would get another time than `latest_ns`: the clock of the files has ticked since."""
    tick_s = _TICK_S if latest_ns % 1_000_000_000 else _COARSE_TICK_S
    return time.time() - latest_ns / 1e9 > tick_s
