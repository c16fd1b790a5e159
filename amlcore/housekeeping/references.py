"""References: the snapshots that runs need, in the trash too, since they can be restored."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from amlcore.errors import AmlcoreError, ExecutionError, NotFoundError
from amlcore.housekeeping.trash import Removal, Trash
from amlcore.record.ownership import owner_of
from amlcore.record.reading import read_mapping
from amlcore.record.record import Record
from amlcore.workspace import Workspace


def referenced_snapshots(workspace: Workspace, trash: Trash, *, without: Sequence[Removal] = ()) -> set[str]:
    """The ids of all snapshots that a run was submitted with, apart from runs of the removals `without`.

    Raises
    ------
    ExecutionError
        A run cannot be read, so nobody knows which snapshot it needs.
    """
    snapshots: set[str] = set()
    for folder in _folders(workspace, trash, without):
        try:
            snapshots.update(_snapshots(Record(folder)))
        except NotFoundError:  # a folder that somebody put there
            continue
        except (AmlcoreError, OSError, LookupError, TypeError) as error:
            raise ExecutionError(
                f"snapshots were kept, since nobody knows which of them run {folder.name} needs: {error}"
            ) from None
    return snapshots


def _folders(workspace: Workspace, trash: Trash, without: Sequence[Removal]) -> Iterator[Path]:
    yield from workspace.run_folders
    for path in trash.folder.glob("*"):
        if not os.access(path, os.R_OK | os.X_OK):
            raise ExecutionError(
                f"snapshots were kept, since nobody knows which of them the runs need that {owner_of(path)} removed: "
                f"{path} cannot be read"
            )
    for removal in trash.removals(strict=True):
        if removal not in without:
            yield from (trash.folder / removal.id / run for run in removal.runs)


def _snapshots(record: Record) -> Iterator[str]:
    if record.info.snapshot is not None:
        yield record.info.snapshot.id
    sources = read_mapping(record.layout.sources) or {}
    yield from (source["snapshot"]["id"] for source in sources.values())
