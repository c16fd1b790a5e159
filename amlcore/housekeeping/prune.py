"""Prune: what a workspace no longer needs, found and then deleted for good."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from amlcore.environment import CachedEnvironment
from amlcore.environment import prune as prune_environments
from amlcore.errors import AmlcoreError, ExecutionError, RequestError
from amlcore.housekeeping import ranking
from amlcore.housekeeping.references import referenced_snapshots
from amlcore.housekeeping.sizes import Counter, entries
from amlcore.housekeeping.trash import Removal, Trash
from amlcore.housekeeping.usage import Usage, Use
from amlcore.record.record import Record
from amlcore.record.usage_lock import unused
from amlcore.snapshot.unreferenced import Unreferenced, remove, unreferenced
from amlcore.sweep.goal import Goal
from amlcore.workspace import Workspace

PARTS = ("outputs", "checkpoints")
"""What can be pruned of a run; the rest is its record."""

STORES = ("snapshots", "environments", "trash")
KINDS = (*PARTS, *STORES)
DEFAULT_OLDER_S = 30 * 86400.0
"""How long an environment was not used, or a run has been in the trash, before it is pruned."""


@dataclass(frozen=True)
class PruneRequest:
    """What to prune: which kinds, and of which runs."""

    kinds: Collection[str] = STORES
    folders: Sequence[Path] | None = None  # of runs; None: all of the workspace
    older_s: float | None = None  # since a run has ended, an environment was used, or a run removed
    keep_best: int | None = None
    metric: str | None = None
    goal: Goal | None = None

    def check(self) -> None:
        """Raise RequestError if this would delete more than somebody can have meant."""
        parts = [kind for kind in PARTS if kind in self.kinds]
        if parts and self.folders is None and self.older_s is None and self.keep_best is None:
            raise RequestError(
                f"--what {','.join(parts)} would concern every run; say which with RUN, --where, --older or --keep-best"
            )
        for option, value in (("RUN or --where", self.folders), ("--keep-best", self.keep_best)):
            if value is not None and not parts:
                raise RequestError(f"{option} concerns files of runs; add --what outputs, --what checkpoints or both")
        if self.metric is not None and self.keep_best is None:
            raise RequestError("--metric says which runs are the best; add --keep-best N")
        if self.goal is not None and self.metric is None:
            raise RequestError("--goal belongs to --metric; a sweep has a goal of its own")


@dataclass
class Prune:
    """What is to be pruned, or was."""

    parts: dict[Path, dict[str, int]] = field(default_factory=dict)  # sizes in bytes, by run and part
    removals: list[Removal] = field(default_factory=list)
    trash_bytes: int = 0
    snapshots: int = 0
    snapshot_bytes: int = 0
    environments: list[CachedEnvironment] = field(default_factory=list)
    kept: list[Use] = field(default_factory=list)  # runs that would be pruned, and are needed
    notes: list[str] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        environments = sum(one.size_bytes or 0 for one in self.environments)
        parts = sum(size for sizes in self.parts.values() for size in sizes.values())
        return parts + self.trash_bytes + self.snapshot_bytes + environments

    def to_json(self) -> dict[str, Any]:
        return {
            "size_bytes": self.size_bytes,
            "runs": [{"id": folder.name, "size_bytes": sizes} for folder, sizes in self.parts.items()],
            "kept": [{"id": use.run, "reason": use.reason} for use in self.kept],
            "trash": {"runs": sum(len(one.runs) for one in self.removals), "size_bytes": self.trash_bytes},
            "snapshots": {"count": self.snapshots, "size_bytes": self.snapshot_bytes},
            "environments": [
                {"key": one.key, "names": list(one.names), "size_bytes": one.size_bytes} for one in self.environments
            ],
            "notes": self.notes,
        }


class Pruner:
    """Prunes a workspace: first `find`, which only reads, then `carry_out`."""

    def __init__(self, workspace: Workspace, request: PruneRequest) -> None:
        self._workspace = workspace
        self._request = request
        self._trash = Trash(workspace)
        self._before = time.time() - (DEFAULT_OLDER_S if request.older_s is None else request.older_s)

    def find(self) -> Prune:
        """What would be pruned now."""
        prune, kinds, counter = Prune(), self._request.kinds, Counter()
        if folders := list(self._chosen(prune)):
            uses = Usage(self._workspace).uses_of_files(folders)
            prune.kept = list(uses.values())
            parts = {folder: self._sizes(folder, counter) for folder in folders if folder.name not in uses}
            prune.parts = {folder: sizes for folder, sizes in parts.items() if sizes}
        if "trash" in kinds:
            prune.removals = self._old_removals()
            prune.trash_bytes = sum(counter.size_bytes(self._trash.folder / one.id) for one in prune.removals)
        if "snapshots" in kinds and (files := self._snapshots(prune, without=prune.removals)) is not None:
            prune.snapshots = len(files.manifests)
            prune.snapshot_bytes = sum(counter.size_bytes(path) for path in files.files)
        if "environments" in kinds:
            prune.environments = self._environments(dry_run=True)
        return prune

    def carry_out(self, prune: Prune, *, user: str, on_wait: Callable[[], None]) -> Prune:
        """Prune what `find` has found, as far as it is still of no use; what was pruned comes back."""
        done = Prune(kept=list(prune.kept), notes=list(prune.notes))
        if "environments" in self._request.kinds:
            done.environments = self._environments(dry_run=False)
        if {*self._request.kinds} - {"environments"}:  # which have locks of their own
            with unused(self._workspace.path, on_wait=on_wait):
                self._trash.recover()
                self._carry_out(prune, done, user=user)
            self._trash.empty()
        return done

    def _carry_out(self, prune: Prune, done: Prune, *, user: str) -> None:
        """The part that nobody may begin to use anything in."""
        if prune.parts:
            uses = Usage(self._workspace).uses_of_files(list(prune.parts))
            done.kept += list(uses.values())
            done.parts = {
                folder: sizes
                for folder, sizes in prune.parts.items()
                if folder.name not in uses and Record(folder).is_present
            }
            names = {f"{folder.parent.name}/{folder.name}": sizes for folder, sizes in done.parts.items()}
            self._trash.prune(names, user=user)
        present = {removal.id for removal in self._trash.removals()}
        done.removals = [removal for removal in prune.removals if removal.id in present]
        for removal in done.removals:
            self._trash.purge(removal)
        done.trash_bytes = prune.trash_bytes if done.removals else 0
        if "snapshots" in self._request.kinds and (files := self._snapshots(done)) is not None:
            done.snapshot_bytes = sum(map(Counter().size_bytes, files.files))
            done.snapshots = remove(files)

    def _chosen(self, prune: Prune) -> Iterator[Path]:
        """The runs whose files the request is about, whether they are needed or not; never a sweep's own report."""
        request = self._request
        if not set(PARTS) & set(request.kinds):
            return
        folders = sorted(self._workspace.run_folders, key=ranking.in_order)
        everything = [folder for folder in folders if not os.path.exists(folder / "sweep.json")]
        chosen = everything if request.folders is None else _with_children(request.folders, everything)
        best = self._best(everything, prune)
        for folder in chosen:
            if folder not in best and self._has_parts(folder) and self._is_old(folder):
                yield folder

    def _best(self, folders: list[Path], prune: Prune) -> set[Path]:
        request = self._request
        if request.keep_best is None:
            return set()
        groups = ranking.groups(folders, metric=request.metric, goal=request.goal)
        if request.metric is not None:
            ranking.check_metric(groups, request.metric)
        for group in groups:
            if group.criterion is None:
                prune.notes.append(
                    f"{group.name}: its runs were kept, since no --metric says which of them are the best"
                )
        return {folder for group in groups for folder in ranking.best(group, request.keep_best)}

    def _is_old(self, folder: Path) -> bool:
        if self._request.older_s is None:
            return True
        try:
            status = Record(folder).status
        except AmlcoreError:  # damaged: nobody knows
            return False
        return status.state.ended and status.at <= self._before

    def _has_parts(self, folder: Path) -> bool:
        return any(part in self._request.kinds and any(entries(folder / part)) for part in PARTS)

    def _sizes(self, folder: Path, counter: Counter) -> dict[str, int]:
        return {
            part: counter.size_bytes(folder / part)
            for part in PARTS
            if part in self._request.kinds and any(entries(folder / part))
        }

    def _old_removals(self) -> list[Removal]:
        """The removals that this user may delete, and that are old enough."""
        before, own = self._before, Trash.may_restore
        return [
            one for one in self._trash.removals() if datetime.fromisoformat(one.at).timestamp() <= before and own(one)
        ]

    def _snapshots(self, prune: Prune, *, without: Sequence[Removal] = ()) -> Unreferenced | None:
        """The snapshots that no run needs, apart from the removals `without`; None, and a note, if nobody knows."""
        try:
            referenced = referenced_snapshots(self._workspace, self._trash, without=without)
        except ExecutionError as error:
            prune.notes.append(str(error))
            return None
        return unreferenced(self._workspace.snapshots_path, referenced=referenced)

    def _environments(self, *, dry_run: bool) -> list[CachedEnvironment]:
        older_s = DEFAULT_OLDER_S if self._request.older_s is None else self._request.older_s
        return prune_environments(self._workspace.environments_path, unused_days=older_s / 86400, dry_run=dry_run)


def _with_children(folders: Sequence[Path], everything: Sequence[Path]) -> list[Path]:
    """These runs and their children."""
    names = [folder.name for folder in folders]
    prefixes = tuple(f"{name}_" for name in names)
    return [folder for folder in everything if folder.name in names or folder.name.startswith(prefixes)]
