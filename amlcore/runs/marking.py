"""Marking runs: their names, notes and tags."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from amlcore.errors import NotFoundError, RecordError, RequestError
from amlcore.record.mark_texts import checked_name, noted, tagged, untagged
from amlcore.record.marks import Marks, change_marks, read_marks
from amlcore.record.record import Record
from amlcore.runs.names import run_names
from amlcore.worker.layout import RunLayout
from amlcore.worker.metrics import last_values


def set_tags(record: Record, tags: Mapping[str, str], *, remove: Iterable[str] = ()) -> Marks:
    """Set tags of a run and remove others; what people tag wins over what the script logged.

    Raises
    ------
    RequestError
        A tag cannot be set as it is, there is none to remove, or this user may not write to the run.
    """
    removed, label = list(remove), _label(record)
    logged = last_values(record.layout.metrics, "tag") if removed else {}
    if both := sorted(tags.keys() & set(removed)):
        raise RequestError(f"tag '{both[0]}': it can either be set or removed, not both")

    def change(marks: Marks) -> Marks:
        return tagged(untagged(marks, removed, logged=logged, what=label), tags) if tags or removed else marks

    return change_marks(record.layout.marks, change, root=record.workspace_path, what=label)


def set_note(record: Record, note: str | None) -> Marks:
    """Replace the note of a run; None or an empty one removes it."""
    return change_marks(
        record.layout.marks, lambda marks: noted(marks, note), root=record.workspace_path, what=_label(record)
    )


def set_name(record: Record, name: str | None, *, folders: Iterable[Path]) -> Marks:
    """Name a run, or remove its name; a name means one run of the workspace.

    Parameters
    ----------
    folders : iterable of paths
        The folders of all runs of the workspace.

    Raises
    ------
    RequestError
        The name is taken, or could be taken for something else.
    """
    checked = None if name is None else checked_name(name)
    others = [folder for folder in folders if folder != record.folder]

    def change(marks: Marks) -> Marks:
        if checked is not None and checked != marks.name:
            _check_free(checked, others)
        return replace(marks, name=checked)

    return change_marks(record.layout.marks, change, root=record.workspace_path, what=_label(record))


def set_archived(record: Record, archived: bool) -> Marks:
    """Archive a run, which hides it from lists, or show it again."""
    return change_marks(
        record.layout.marks,
        lambda marks: replace(marks, archived=archived),
        root=record.workspace_path,
        what=_label(record),
    )


def is_archived(folder: Path) -> bool:
    """Whether a run is archived, by itself or with the run that it is a child of."""
    if os.path.exists(RunLayout(folder).marks):
        with suppress(RecordError):  # a damaged run must be listed
            if read_marks(folder).archived:
                return True
    parent, separator, _ = folder.name.rpartition("_")
    return bool(separator) and is_archived(folder.with_name(parent))


def _check_free(name: str, others: list[Path]) -> None:
    if taken := run_names(others).get(name):
        other = taken[0].name
        raise RequestError(f"name '{name}': run {other} has it; take it away first with: aml name {other} --remove")
    clash = next((folder.name for folder in others if folder.name.startswith(name)), None)
    if clash is not None:  # somebody renamed that folder
        raise RequestError(f"name '{name}': the id of run {clash} begins with it")


def _label(record: Record) -> str:
    if not record.is_present:
        _ = record.info  # another user may let nobody read it
        raise NotFoundError(f"{record.folder} holds no run")
    return f"run {record.folder.name}"
