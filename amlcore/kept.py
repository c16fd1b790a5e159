"""What a run keeps: moved out of its working copy, and listed."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def move(source: Path, target: Path) -> None:
    """Move what lies in the folder `source` into `target`; links are moved as links, and never followed.

    A name that is taken in `target` gets `.script` before its ending, and a number where that is taken too.
    """
    target.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:  # root may settle the run of somebody, whose it stays
        owner = target.parent.stat()
        with suppress(OSError):  # a share may take root for nobody
            os.chown(target, owner.st_uid, owner.st_gid)
    if source.is_symlink() or not source.is_dir():
        return
    for entry in sorted(source.iterdir()):
        entry.rename(_free_name(target / entry.name))


def _free_name(wanted: Path) -> Path:
    path, number = wanted, 1
    while os.path.lexists(path):
        path = wanted.with_name(f"{wanted.stem}.script{number if number > 1 else ''}{wanted.suffix}")
        number += 1
    return path


def remove(folder: Path) -> None:
    """Remove a folder, also where the script took its own permissions away."""
    for parent, _, _ in os.walk(folder, onerror=None):
        os.chmod(parent, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def files_below(folder: Path, inside: Path) -> Iterator[Path]:
    """The files of a folder; those of a folder in it that a link leads to count there too, but for its own links."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(parent) / name for name in sorted(names) if (Path(parent) / name).is_file())
        for name in folders:
            link = Path(parent, name)
            if link.is_symlink() and inside in (real := link.resolve()).parents and real not in link.absolute().parents:
                yield from (path for path in sorted(link.rglob("*")) if path.is_file() and not path.is_symlink())


def digest(path: Path) -> str:
    if not os.access(path, os.R_OK):
        path.chmod(path.stat().st_mode | 0o400)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
