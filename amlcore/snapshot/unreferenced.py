"""Snapshots that nothing refers to: found in the store, and removed from it."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from amlcore.worker.layout import SnapshotLayout

ABANDONED_S = 86400.0
"""A temporary file that is older than this was left by a process that was killed."""


@dataclass(frozen=True)
class Unreferenced:
    """The files in a store that are of no use, manifests first."""

    manifests: list[Path]
    objects: list[Path]

    @property
    def files(self) -> list[Path]:
        return [*self.manifests, *self.objects]


def unreferenced(store: Path, *, referenced: Collection[str]) -> Unreferenced:
    """What is in `store` besides the snapshots `referenced`; a damaged manifest keeps all objects."""
    layout = SnapshotLayout(store)
    manifests, needed = list[Path](), set[str]()
    for path in Path(layout.manifests).glob("*.json"):
        if path.stem not in referenced:
            manifests.append(path)
            continue
        try:
            needed.update(row[1] for row in json.loads(path.read_bytes())["files"])
        except (OSError, ValueError, LookupError, TypeError):
            return Unreferenced([], [])
    objects = [path for path in _objects(Path(layout.objects)) if path.name not in needed]
    abandoned = time.time() - ABANDONED_S
    return Unreferenced(
        manifests,
        [path for path in objects if not path.name.startswith(".") or path.lstat().st_ctime < abandoned],
    )


def remove(files: Unreferenced) -> int:
    """Remove these files; the number of snapshots that are gone comes back.

    The caller keeps everybody from taking snapshots. Manifests go first, so that whatever happens on the way, no
    manifest is without its objects.
    """
    for path in files.files:
        with suppress(FileNotFoundError, PermissionError):  # what is another user's may stay
            path.unlink()
    return sum(not path.exists() for path in files.manifests)


def _objects(folder: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError):
        for part in folder.iterdir():
            if part.is_dir():
                yield from part.iterdir()
            else:  # a large file that was being stored
                yield part
