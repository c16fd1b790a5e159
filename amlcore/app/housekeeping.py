"""The verbs that keep house: rm, archive, prune, du."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amlcore.errors import RequestError
from amlcore.housekeeping.prune import Prune, Pruner, PruneRequest
from amlcore.housekeeping.removal import choose, last_removal, remove, restore
from amlcore.housekeeping.sizes import Counter
from amlcore.housekeeping.usage import Use
from amlcore.log import Log
from amlcore.record.record import Record
from amlcore.runs.find import find
from amlcore.runs.marking import set_archived
from amlcore.worker.process_identity import current_user
from amlcore.workspace import Workspace

WAITING = "waiting for a process that is submitting a run or registering a model"
Confirm = Callable[[str], bool]
"""Asks a question of a person, and returns whether the answer is yes."""


@dataclass(frozen=True)
class Selection:
    """The runs that a command line names: by reference, or by a filter."""

    references: Sequence[str] = ()
    where: str | None = None

    def folders(self, workspace: Workspace) -> list[Path]:
        """The folders of the runs, each once.

        Raises
        ------
        RequestError
            Neither or both are there, a run does not exist, or the filter is wrong.
        """
        if bool(self.references) == (self.where is not None):
            raise RequestError(
                "name runs, or choose them with --where FILTER" + (", not both" if self.references else "")
            )
        if self.where is not None:
            return _matching(workspace, self.where)
        folders = list(workspace.run_folders)
        return list(dict.fromkeys(Path(find(folders, reference).folder) for reference in self.references))


@dataclass
class Change:
    """What a verb did, or would do in a dry run, to which runs."""

    runs: list[str]
    size_bytes: int | None = None
    kept: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self, verb: str, *, dry_run: bool) -> dict[str, Any]:
        facts = {verb: self.runs, "kept": self.kept, "notes": self.notes, "dry_run": dry_run}
        return facts if self.size_bytes is None else {**facts, "size_bytes": self.size_bytes}


def remove_runs(
    workspace: Workspace, selection: Selection, *, for_good: bool, dry_run: bool, confirm: Confirm, log: Log
) -> Change:
    """Remove runs and their children; those of a filter that are in use are kept, named ones are an error."""
    by_filter = selection.where is not None
    folders = selection.folders(workspace)
    plan = choose(workspace, folders, skip_used=by_filter)
    counter = Counter()
    size_bytes = sum(map(counter.size_bytes, plan.folders))
    if dry_run or not plan.folders:
        return _change(plan.roots, size_bytes, plan.kept)
    if by_filter or for_good:
        _check(
            confirm, f"remove {count(plan.roots, 'run')} ({megabytes(size_bytes)}){' for good' if for_good else ''}?"
        )
    choice, _ = remove(
        workspace,
        folders,
        skip_used=by_filter,
        for_good=for_good,
        user=current_user(),
        on_wait=lambda: log(WAITING),
    )
    return _change(choice.roots, size_bytes, choice.kept)


def restore_runs(workspace: Workspace, references: Sequence[str], *, dry_run: bool, log: Log) -> Change:
    """Restore the runs that were removed last, or those that are named."""
    if dry_run:
        return Change(last_removal(workspace, references).roots)
    removal, notes = restore(workspace, references, on_wait=lambda: log(WAITING))
    return Change(removal.roots, notes=notes)


def archive_runs(workspace: Workspace, selection: Selection, *, archived: bool, dry_run: bool) -> Change:
    """Hide runs from lists, or show them again."""
    folders = selection.folders(workspace)
    if not dry_run:
        for folder in folders:
            set_archived(Record(folder), archived)
    return Change([folder.name for folder in folders])


def prune(workspace: Workspace, request: PruneRequest, *, dry_run: bool, confirm: Confirm, log: Log) -> Prune:
    """Delete what nothing needs any more, for good."""
    request.check()
    pruner = Pruner(workspace, request)
    plan = pruner.find()
    if dry_run:
        return plan
    if plan.size_bytes:
        _check(confirm, f"delete {megabytes(plan.size_bytes)} for good?")
    return pruner.carry_out(plan, user=current_user(), on_wait=lambda: log(WAITING))


def _check(confirm: Confirm, question: str) -> None:
    if not confirm(question):
        raise RequestError("nothing was removed")


def _change(runs: list[str], size_bytes: int, kept: Sequence[Use]) -> Change:
    return Change(runs, size_bytes, [{"id": use.run, "reason": use.reason, "way_out": use.way_out} for use in kept])


def _matching(workspace: Workspace, where: str) -> list[Path]:
    """The runs that a filter finds, archived ones included; of children only if it is about them."""
    from amlcore.index import find as find_matching

    matches = find_matching(workspace, where, archived=True)
    return [workspace.outputs_path / row.place for row in matches.rows]


def count(items: Sequence[object] | int, noun: str) -> str:
    """`3 runs`, `1 run`."""
    number = items if isinstance(items, int) else len(items)
    return f"{number} {noun}{'' if number == 1 else 's'}"


def megabytes(size_bytes: int) -> str:
    """A size as people read it: 3.2 GB, 14 MB, 0.5 MB."""
    if size_bytes >= 1e9:
        return f"{size_bytes / 1e9:.1f} GB"
    return f"{size_bytes / 1e6:.0f} MB" if size_bytes >= 1e7 else f"{size_bytes / 1e6:.1f} MB"
