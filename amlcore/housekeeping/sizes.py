"""What files take on the disk, as `du` counts it: blocks, with each hard link once."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

BLOCK_BYTES = 512  # of st_blocks, whatever the filesystem's own are


class Counter:
    """Adds up sizes; a file with several hard links counts where it is met first."""

    def __init__(self) -> None:
        self._links: set[tuple[int, int]] = set()

    def size_bytes(self, path: str | os.PathLike[str]) -> int:
        """The size of a file, or of a folder with all that is in it; 0 if it is gone or cannot be read."""
        try:
            status = os.lstat(path)
        except OSError:
            return 0
        total = self._own(status)
        if not os.path.isdir(path) or os.path.islink(path):
            return total
        waiting = [os.fspath(path)]
        while waiting:
            for entry in entries(waiting.pop()):
                with suppress(OSError):
                    total += self._own(entry.stat(follow_symlinks=False))
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        return total

    def own_size_bytes(self, path: str | os.PathLike[str]) -> int:
        """The size of a folder itself, without what is in it."""
        try:
            return self._own(os.lstat(path))
        except OSError:
            return 0

    def _own(self, status: os.stat_result) -> int:
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            link = (status.st_dev, status.st_ino)
            if link in self._links:
                return 0
            self._links.add(link)
        return status.st_blocks * BLOCK_BYTES


def entries(folder: str | os.PathLike[str]) -> Iterator[os.DirEntry[str]]:
    """The entries of a folder; none if it cannot be read."""
    try:
        with os.scandir(folder) as scanned:
            yield from scanned
    except OSError:
        return
