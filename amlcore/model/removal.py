"""Removal of a version: an entry in the log of its model takes it away, then its files go; its number stays taken."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amlcore.errors import ModelError, NotFoundError, RequestError
from amlcore.model.aliases import LogEntry, append
from amlcore.model.folders import RECORD, REMOVED, find_folder, named, removed_versions, state_of, versions
from amlcore.model.model import Model
from amlcore.model.reference import ModelReference
from amlcore.record.ownership import owner_of
from amlcore.worker import durable
from amlcore.worker.files import write_json


def find_removable(models: Path, reference: str) -> Path:
    """The folder of the version that is to be removed, once nothing in the workspace's models speaks against it.

    Raises
    ------
    RequestError
        `reference` names no version, an alias means it, or this user may not remove its files.
    """
    named_model = ModelReference.parse(reference)
    folder = find_folder(models, reference)
    if named_model.version is None and named_model.alias is None and reference == named_model.name:
        numbers = ", ".join(map(str, versions(folder.parent)))
        raise RequestError(f"model '{reference}': name the version to remove, such as {reference}:1; it has {numbers}")
    _check_unused(folder)
    for part in (folder, *(path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink())):
        if not os.access(part, os.W_OK | os.X_OK):
            raise ModelError(f"{_id(folder)} belongs to {owner_of(folder)}, and you may not write to {part}")
    return folder


def remove_version(folder: Path, *, why: str | None = None) -> LogEntry:
    """Remove the version in `folder`, as long as no alias means it; kept in the log are its run, metrics and hash.

    Raises
    ------
    RequestError
        An alias means it now, or another process has removed it.
    """
    model, version = folder.parent, int(folder.name)
    facts = registration(model, version, thorough=True)
    while True:
        state = state_of(model)
        if version in state.removed:
            raise NotFoundError(f"{_id(folder)} has been removed already")
        _check_unused(folder)
        entry = {
            "event": "remove",
            "version": version,
            "why": why,
            "registered": facts,
            "aliases": state.aliases,
            "removed_versions": sorted([*state.removed, version]),
        }
        if (created := append(model, state.number + 1, entry)) is not None:
            finish_removals(model)
            return created


def registration(model: Path, version: int, *, thorough: bool = False) -> dict[str, Any]:
    """When, by whom and from which run a version was registered; `thorough` adds its metrics and its sha256."""
    folder = model / str(version)
    try:
        record = Model.load_record(folder)
    except ModelError:
        modified = datetime.fromtimestamp(folder.stat().st_mtime, UTC).isoformat()
        return {"at": modified, "by": owner_of(folder), "run": None}
    facts = {"at": str(record.created), "by": owner_of(folder), "run": record.run}
    return {**facts, "metrics": record.metrics, "sha256": record.sha256} if thorough else facts


def finish_removals(model: Path) -> None:
    """Remove what is still there of the removed versions of a model; a process may have been killed meanwhile."""
    for version in removed_versions(model):
        folder = model / str(version)
        leftovers = [path for path in _children(folder) if path.name != REMOVED]
        if not leftovers:
            continue
        # Whoever owns them removes them next; or another process is doing so, and had its eye on our temporary file.
        with suppress(PermissionError, FileNotFoundError):
            write_json(str(folder / REMOVED), {"version": version}, sync=True)
            (folder / RECORD).unlink(missing_ok=True)
            durable.sync([folder])
            for path in leftovers:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def finish_all_removals(models: Path) -> None:
    """The same for all models."""
    for model in named(models):
        finish_removals(model)


def _check_unused(folder: Path) -> None:
    aliases = sorted(alias for alias, version in state_of(folder.parent).aliases.items() if str(version) == folder.name)
    if aliases:
        name = folder.parent.name
        first = f"aml alias {name}@{aliases[0]} --remove"
        raise ModelError(
            f"{_id(folder)} is what {' and '.join(f'{name}@{alias}' for alias in aliases)} "
            f"mean{'s' if len(aliases) == 1 else ''}; move or remove the alias first, as with: {first}"
        )


def _id(folder: Path) -> str:
    return f"{folder.parent.name}:{folder.name}"


def _children(folder: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError, NotADirectoryError):
        yield from folder.iterdir()
