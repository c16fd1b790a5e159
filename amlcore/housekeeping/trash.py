"""The trash of a workspace: removed runs, until they are restored or removed for good.

A removal is one file, its manifest. As long as it exists, in moving/ or in the removal's own folder, its runs are
removed, wherever their folders are: those in moving/ are hidden from every list. So all runs of a removal go and come
back at one moment, and a process that is killed on the way leaves them as they were, or gone.

    removed:  moving/ID.json written · folders moved to ID/ · moving/ID.json renamed to ID/removal.json
    restored: ID/removal.json renamed to moving/ID.json · folders moved back · moving/ID.json deleted
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from amlcore.errors import ExecutionError, RequestError
from amlcore.record.forms import Moment
from amlcore.record.ownership import owner_of
from amlcore.record.reading import read_document, read_mapping
from amlcore.record.record import Record
from amlcore.worker import durable
from amlcore.worker.files import make_folder, write_json
from amlcore.worker.run_names import new_run_id
from amlcore.workspace import MOVING, Workspace

MANIFEST = "removal.json"
DELETING = "deleting"  # folders that are being deleted for good
PRUNING = "pruning"  # a file for each prune that is under way: which parts of which runs


@dataclass
class Removal:
    """removal.json: runs that were removed together."""

    id: str
    user: str
    uid: int
    at: Moment
    runs: list[str]  # EXPERIMENT/RUN, children included

    @property
    def roots(self) -> list[str]:
        """The ids of the runs whose parents are not among them."""
        ids = {run.rpartition("/")[2] for run in self.runs}
        return sorted(name for name in ids if name.rpartition("_")[0] not in ids)


class Trash:
    """The trash of one workspace; whoever changes it holds the usage lock alone."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.folder = workspace.trash_path
        self._moving = self.folder / MOVING

    def removals(self, *, strict: bool = False) -> list[Removal]:
        """What can be restored, oldest first.

        Raises
        ------
        ExecutionError
            A manifest is damaged, and `strict` is true.
        """
        removals = []
        for path in self.folder.glob(f"*/{MANIFEST}"):
            try:
                removal = read_document(path, Removal, error=ExecutionError)
            except ExecutionError:
                if strict:
                    raise
                continue
            removals += [] if removal is None else [removal]
        return sorted(removals, key=lambda removal: removal.at.datetime)

    @staticmethod
    def may_restore(removal: Removal) -> bool:
        """Whether this user may restore a removal or delete it for good: who removed the runs, and root."""
        return os.geteuid() in (0, removal.uid)

    def remove(self, folders: Iterable[Path], *, user: str) -> Removal:
        """Move the folders of runs into the trash, all or none.

        Raises
        ------
        RequestError
            One of them cannot be moved.
        """
        folders = list(folders)
        runs = [f"{folder.parent.name}/{folder.name}" for folder in folders]
        removal = Removal(new_run_id(), user, os.geteuid(), Moment(datetime.now(UTC).isoformat()), runs)
        for folder in (self.folder, self._moving, self.folder / removal.id):
            make_folder(folder)
        self._check_movable(folders)
        write_json(self._marker(removal), asdict(removal), sync=True)
        durable.sync([self._moving, self.folder])
        try:
            self._settle(removal)
        except BaseException:
            self._bring_back(removal)
            raise
        return removal

    def restore(self, removal: Removal) -> None:
        """Move the runs of a removal back to where they were, all or none.

        Raises
        ------
        RequestError
            There is a run of the same id now.
        """
        for run in removal.runs:
            if os.path.lexists(path := self._workspace.outputs_path / run):
                raise RequestError(f"run {path.name} cannot be restored: {path} exists again; move it away first")
        trash = self.folder / removal.id
        make_folder(self._moving)
        (trash / MANIFEST).rename(self._marker(removal))
        durable.sync([trash, self._moving])
        try:
            self._bring_back(removal)
        except BaseException:
            self._settle(removal)
            raise
        shutil.rmtree(trash, ignore_errors=True)

    def purge(self, removal: Removal) -> None:
        """Discard the runs of a removal for good."""
        self.discard(self.folder / removal.id)

    def discard(self, *paths: Path) -> None:
        """Take files or folders out of the workspace for good; `empty` frees their space."""
        deleting = self.folder / DELETING
        make_folder(deleting)
        for path in paths:
            with suppress(FileNotFoundError):
                path.rename(deleting / f"{new_run_id()}-{path.name[:100]}")
        durable.sync([deleting, *{path.parent for path in paths}])

    def prune(self, parts: Mapping[str, Mapping[str, int]], *, user: str) -> None:
        """Discard parts of runs, and say so in their records: whoever is killed on the way leaves them to `recover`.

        Parameters
        ----------
        parts : dict
            The size in bytes of each part, such as outputs, by EXPERIMENT/RUN and by the part's name.
        """
        make_folder(self.folder / PRUNING)
        journal = self.folder / PRUNING / f"{new_run_id()}.json"
        write_json(str(journal), {run: list(sizes) for run, sizes in parts.items()}, sync=True)
        durable.sync([journal.parent, self.folder])
        at = datetime.now(UTC).isoformat()
        for run, sizes in parts.items():
            pruned = self._record(run).layout.pruned
            entries = {part: {"at": at, "user": user, "size_bytes": size} for part, size in sizes.items()}
            write_json(pruned, {**(read_mapping(pruned) or {}), **entries})
        durable.sync(path for run in parts for path in (self._record(run).layout.pruned, self._record(run).folder))
        self._finish_pruning(journal)

    def _finish_pruning(self, journal: Path) -> None:
        """Discard all that the records of these runs say was pruned."""
        paths: list[Path] = []
        for run, parts in (read_mapping(journal) or {}).items():
            record = self._record(run)
            pruned = read_mapping(record.layout.pruned) or {}
            paths += [record.folder / part for part in parts if part in pruned]
        self.discard(*paths)
        journal.unlink()

    def _record(self, run: str) -> Record:
        return Record(self._workspace.outputs_path / run)

    def empty(self) -> None:
        """Delete what was discarded; this may take long, and needs no lock."""
        with suppress(FileNotFoundError):
            for path in (self.folder / DELETING).iterdir():
                _delete(path)

    def recover(self) -> None:
        """Finish what a process that was killed has left; what was another user's waits for them, or for root."""
        if not self.folder.is_dir():
            return
        for path in sorted(self._moving.glob("*.json")):
            removal = read_document(path, Removal, error=ExecutionError)
            with suppress(PermissionError):
                if removal is not None:
                    make_folder(self.folder / removal.id)
                    self._settle(removal)
        for path in sorted((self.folder / PRUNING).glob("*.json")):
            with suppress(PermissionError):
                self._finish_pruning(path)
        for folder in (self._moving, self.folder / PRUNING):
            for path in folder.glob(".*.tmp"):
                with suppress(PermissionError):
                    path.unlink(missing_ok=True)
        for folder in self.folder.iterdir():
            is_removal = folder.is_dir() and folder.name not in (MOVING, DELETING, PRUNING)
            if is_removal and not os.path.exists(folder / MANIFEST):
                _delete_empty(folder)  # of a removal that was killed before it began, or restored

    def _settle(self, removal: Removal) -> None:
        """Have all runs of a removal in the trash, wherever they are."""
        trash = self.folder / removal.id
        for run in removal.runs:
            self._move(self._workspace.outputs_path / run, trash / run)
        durable.sync([trash, *(trash / run for run in self._names(removal)), *self._experiments(removal)])
        os.rename(self._marker(removal), trash / MANIFEST)
        durable.sync([trash, self._moving])

    def _bring_back(self, removal: Removal) -> None:
        """Have all runs of a removal in outputs/, wherever they are; it is over then."""
        for run in removal.runs:
            self._move(self.folder / removal.id / run, self._workspace.outputs_path / run)
        durable.sync(self._experiments(removal))
        os.unlink(self._marker(removal))
        durable.sync([self._moving])

    def _move(self, source: Path, target: Path) -> None:
        make_folder(target.parent)
        with suppress(FileNotFoundError):  # it was moved before this process was killed
            source.rename(target)

    def _check_movable(self, folders: Iterable[Path]) -> None:
        """Refuse what cannot be moved in one step, or not at all, before anything is."""
        device = os.stat(self.folder).st_dev
        for folder in folders:
            if os.stat(folder).st_dev != device:
                raise RequestError(f"{folder} is on another filesystem than the trash in {self.folder}")
            with suppress(PermissionError):  # a script may have taken away the permission to
                os.chmod(folder, stat.S_IMODE(os.stat(folder).st_mode) | stat.S_IRWXU)
            for path in (folder, folder.parent):
                if not os.access(path, os.W_OK | os.X_OK):
                    raise RequestError(
                        f"run {folder.name} cannot be moved: {path} belongs to {owner_of(path)}, "
                        "and you may not write there"
                    )

    def _marker(self, removal: Removal) -> str:
        return str(self._moving / f"{removal.id}.json")

    def _names(self, removal: Removal) -> set[str]:
        return {run.partition("/")[0] for run in removal.runs}

    def _experiments(self, removal: Removal) -> list[Path]:
        return [self._workspace.outputs_path / name for name in self._names(removal)]


def _delete(path: Path) -> None:
    """Delete a file or a folder, even if a script took away the permissions to; what is another user's may stay."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    shutil.rmtree(path, ignore_errors=True)
    waiting = [path] if path.exists() else []
    while waiting:
        folder = waiting.pop()
        with suppress(OSError):
            os.chmod(folder, 0o700)
            waiting += [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    shutil.rmtree(path, ignore_errors=True)


def _delete_empty(folder: Path) -> None:
    for parent, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            os.rmdir(parent)
