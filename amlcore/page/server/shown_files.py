"""Which files of a run and of a model the page shows: a run's outputs, logs and images, and a model's files.

The rest of a run's folder stays unseen: request.json holds environment variables, and the working copy of a running
script whatever lay beside it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from amlcore.worker.layout import RunLayout

TOP = PurePosixPath()


@dataclass(frozen=True)
class Entry:
    """A file or a folder, with its path as the page has it."""

    path: str
    is_folder: bool
    size_bytes: int | None


class ShownFiles:
    """Several folders as one tree.

    Parameters
    ----------
    mounts : pairs of paths
        Where in the tree a folder appears, and the folder; of two files of one path the first folder's is shown.
    """

    def __init__(self, mounts: Sequence[tuple[PurePosixPath, Path]]) -> None:
        self._mounts = mounts

    def entries(self, path: str = "") -> list[Entry]:
        """What the folder `path` holds, by name; nothing if there is no such folder."""
        at = PurePosixPath(path)
        names = [mount.name for mount, folder in self._mounts if mount != TOP and mount.parent == at and _has(folder)]
        by_name = {name: Entry(str(at / name), True, None) for name in names}
        for folder in self._places(at):
            for item in _scan(folder):
                if item.name not in by_name and self._is_inside(Path(item.path)):
                    by_name[item.name] = _entry(item, at / item.name)
        return [by_name[name] for name in sorted(by_name)]

    def find(self, path: str) -> Path | None:
        """Where the file `path` lies; None if there is none that may be shown."""
        places = self._places(PurePosixPath(path))
        return next((place for place in places if place.is_file() and self._is_inside(place)), None)

    def _places(self, path: PurePosixPath) -> Iterator[Path]:
        """Where `path` may lie."""
        if path.is_absolute() or ".." in path.parts:
            return
        for mount, folder in self._mounts:
            if path.is_relative_to(mount):
                yield folder / path.relative_to(mount)

    def _is_inside(self, path: Path) -> bool:
        """Whether a file lies in one of the folders, and is no link to something else."""
        real = path.resolve()
        return any(real.is_relative_to(folder.resolve()) for _, folder in self._mounts) and real.exists()


def run_files(folder: Path) -> ShownFiles:
    """The files of a run: its outputs, which MLflow's paths begin in, with `images/` and `logs/` beside them."""
    layout = RunLayout(folder)
    kept = [(TOP, layout.outputs), (PurePosixPath("images"), layout.images), (PurePosixPath("logs"), layout.logs)]
    return ShownFiles([*_live(layout), *((mount, Path(place)) for mount, place in kept)])


def model_files(folder: Path) -> ShownFiles:
    """The files of a model version, and the modules that it needs."""
    return ShownFiles([(TOP, folder / "files"), (PurePosixPath("code"), folder / "code")])


def _live(layout: RunLayout) -> Iterator[tuple[PurePosixPath, Path]]:
    """What the newest attempt has written so far; nothing once the run has ended."""
    try:
        newest = max(int(name) for name in os.listdir(layout.attempts) if name.isdigit())
    except (OSError, ValueError):
        return
    attempt = layout.attempt(newest)
    yield TOP, Path(attempt.outputs)
    yield PurePosixPath("logs"), Path(attempt.logs)


def _has(folder: Path) -> bool:
    return bool(_scan(folder))


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:  # not there, or another user's
        return []


def _entry(item: os.DirEntry[str], path: PurePosixPath) -> Entry:
    is_folder = item.is_dir()
    return Entry(str(path), is_folder, None if is_folder else item.stat().st_size)
