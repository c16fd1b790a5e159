"""Removing runs: chosen, checked, moved to the trash, and restored from it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from amlcore.errors import NotFoundError, RequestError
from amlcore.housekeeping.trash import Removal, Trash
from amlcore.housekeeping.usage import Usage, Use, lineage
from amlcore.record.marks import Marks, change_marks, read_marks
from amlcore.record.record import Record
from amlcore.record.usage_lock import unused
from amlcore.runs.names import run_names
from amlcore.workspace import Workspace

SHOWN = 10
"""How many runs one message names."""


@dataclass(frozen=True)
class Choice:
    """Runs that are to be removed, with their children, and those that must stay."""

    folders: list[Path]
    kept: list[Use]

    @property
    def roots(self) -> list[str]:
        """The ids of the runs without those of their children."""
        ids = {folder.name for folder in self.folders}
        return sorted(name for name in ids if name.rpartition("_")[0] not in ids)


def choose(workspace: Workspace, folders: Sequence[Path], *, skip_used: bool) -> Choice:
    """These runs and their children, as far as nothing uses them.

    Parameters
    ----------
    skip_used : bool
        Leave out what is used; otherwise that is an error.

    Raises
    ------
    RequestError
        Something uses one of the runs; the message says what, and what to do.
    """
    usage = Usage(workspace)
    chosen, kept = usage.families(folders), list[Use]()
    while uses := usage.uses(chosen):
        if not skip_used:
            raise RequestError(_refusal(uses, is_one=len(chosen) == 1))
        kept += uses
        ids = {folder.name for folder in chosen}
        families = {_root(use.run, ids) for use in uses}
        chosen = [folder for folder in chosen if _root(folder.name, ids) not in families]
    return Choice(chosen, kept)


def remove(
    workspace: Workspace,
    folders: Sequence[Path],
    *,
    skip_used: bool,
    for_good: bool,
    user: str,
    on_wait: Callable[[], None],
) -> tuple[Choice, Removal | None]:
    """Move runs and their children to the trash, all or none; with `for_good` they are deleted there."""
    trash = Trash(workspace)
    with unused(workspace.path, on_wait=on_wait):
        trash.recover()
        choice = choose(workspace, folders, skip_used=skip_used)
        removal = trash.remove(choice.folders, user=user) if choice.folders else None
        if removal is not None and for_good:
            trash.purge(removal)
    if for_good:
        trash.empty()
    return choice, removal


def last_removal(workspace: Workspace, runs: Sequence[str]) -> Removal:
    """The last removal of this user, or the one that `runs`, ids or their beginnings, were in.

    Raises
    ------
    RequestError
        There is none, or another user's.
    """
    removals = Trash(workspace).removals()
    if runs:
        matches = [one for one in removals if all(_holds(one, run) for run in runs)]
        if not matches:
            raise NotFoundError(
                f"run '{runs[0]}': no such run in the trash" + ("" if len(runs) == 1 else " with the others")
            )
        if not Trash.may_restore(matches[-1]):
            raise RequestError(f"run {runs[0]} was removed by {matches[-1].user}; only they can restore it")
        return matches[-1]
    own = [one for one in removals if Trash.may_restore(one)]
    if not own:
        others = sorted({one.user for one in removals})
        raise NotFoundError(
            "nothing to restore: "
            + (f"the trash only holds runs of {', '.join(others)}" if others else "the trash is empty")
        )
    return own[-1]


def removed_hint(workspace: Workspace, reference: str) -> NotFoundError | None:
    """The error for a run that does not exist, if it is in the trash."""
    for removal in Trash(workspace).removals():
        if any(run.rpartition("/")[2] == reference for run in removal.runs):
            return NotFoundError(f"run {reference} was removed; restore it with: aml rm --undo {reference}")
    return None


def restore(workspace: Workspace, runs: Sequence[str], *, on_wait: Callable[[], None]) -> tuple[Removal, list[str]]:
    """Restore the last removal, or that of `runs`.

    Returns
    -------
    tuple
        The removal, and a note for each run whose name another run has now.
    """
    trash = Trash(workspace)
    with unused(workspace.path, on_wait=on_wait):
        trash.recover()
        removal = last_removal(workspace, runs)
        trash.restore(removal)
        folders = list(workspace.run_folders)
    notes = [_freed_name(workspace.outputs_path / run, folders) for run in removal.runs]
    return removal, [note for note in notes if note is not None]


def _freed_name(folder: Path, folders: Sequence[Path]) -> str | None:
    """Take the name of a restored run away if another run got it meanwhile."""
    name = read_marks(folder).name
    if name is None:
        return None
    others = [other for other in folders if other != folder]
    record, notes = Record(folder), list[str]()

    def free(marks: Marks) -> Marks:
        holders = run_names(others).get(name)
        if not holders:
            return marks
        notes.append(f"run {folder.name} is no longer called '{name}': run {holders[0].name} has this name now")
        return replace(marks, name=None)

    change_marks(record.layout.marks, free, root=record.workspace_path, what=f"run {folder.name}")
    return notes[0] if notes else None


def _holds(removal: Removal, run: str) -> bool:
    return run != "" and any(name.rpartition("/")[2].startswith(run) for name in removal.runs)


def _refusal(uses: Sequence[Use], *, is_one: bool) -> str:
    lines = [str(use) for use in uses[:SHOWN]]
    more = [f"and {len(uses) - SHOWN} more"] if len(uses) > SHOWN else []
    return "\n".join([*lines, *more, *([] if is_one else ["nothing was removed"])])


def _root(run: str, ids: Collection[str]) -> str:
    """The topmost run of `ids` that `run` is a child of, or itself."""
    return [name for name in lineage(run) if name in ids or name == run][-1]
