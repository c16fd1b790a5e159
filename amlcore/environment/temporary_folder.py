"""Temporary folders; the next process removes those that killed ones left behind."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from amlcore.worker.files import read_json, write_json
from amlcore.worker.process_identity import identity, is_alive

OWNER = "owner.json"
PREFIX = "amlcore-"


@contextmanager
def temporary_folder(name: str) -> Iterator[Path]:
    """An empty folder until the block ends; folders that killed processes of this user left are removed first."""
    remove_abandoned(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{name}-", ignore_cleanup_errors=True) as temporary:
        write_json(str(Path(temporary, OWNER)), identity())
        folder = Path(temporary).resolve() / "content"
        folder.mkdir()
        yield folder


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary folders in `folder` whose process has exited, but not those of other users or hosts."""
    for path in folder.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if path.lstat().st_uid == os.getuid() and path.is_dir() and is_owner_gone(path / OWNER):
                shutil.rmtree(path, ignore_errors=True)


def is_owner_gone(owner: Path) -> bool:
    """Whether the process in the file `owner` has ended; False if that is unknown."""
    try:
        process: Any = read_json(str(owner))
        return process is not None and is_alive(process) is False
    except (OSError, ValueError, LookupError, TypeError):
        return False
