"""Find runs: all of them in order, or the one that a user means."""

from __future__ import annotations

import heapq
import os
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from datetime import datetime
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path

from amlcore.errors import LeftOutWarning, NotFoundError, RecordError
from amlcore.record.mark_texts import may_be_id
from amlcore.runs.names import run_names
from amlcore.runs.run import Run
from amlcore.runs.view import creation_time
from amlcore.workspace import Workspace

_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]+")
_CHILD = re.compile(rf"{_ID.pattern}_")


def newest_first(folders: Iterable[str | Path]) -> Iterator[Run]:
    """The runs in `folders`, newest first; a run whose id tells its place is not read.

    An id begins with the second in which the run was submitted. The time of creation is read for runs of the same
    second, for children, which have the id of their parent, and for folders that somebody renamed.
    """
    by_id: list[tuple[str, str]] = []
    dated: list[tuple[datetime, Run]] = []
    for path in map(str, folders):
        name = path.rpartition("/")[2]
        if _ID.fullmatch(name):
            by_id.append((name, path))
        else:
            run = Run(path)
            dated.append((creation_time(run.record), run))
    by_id.sort(reverse=True)
    seconds = ([Run(path) for _, path in pairs] for _, pairs in groupby(by_id, key=lambda pair: pair[0][:15]))
    in_order = (
        run
        for runs in seconds
        for run in (runs if len(runs) == 1 else sorted(runs, key=lambda run: creation_time(run.record), reverse=True))
    )
    if not dated:
        yield from in_order
        return
    dated.sort(key=lambda pair: pair[0], reverse=True)
    others = ((creation_time(run.record), run) for run in in_order)  # lazily, as far as the list is shown
    yield from (run for _, run in heapq.merge(dated, others, key=lambda pair: pair[0], reverse=True))


def folders_like_runs(workspace: Workspace, experiment: str | None = None) -> list[str]:
    """The folders of all runs but children, in no particular order; those whose names are ids are not looked into."""
    paths, removed = workspace.undisturbed(lambda: _paths_like_runs(workspace, experiment))
    if not removed:
        return paths
    return [path for path in paths if "/".join(path.rsplit("/", 2)[1:]) not in removed]


def _paths_like_runs(workspace: Workspace, experiment: str | None) -> list[str]:
    paths = []
    for folder in workspace.experiment_folders:
        if experiment not in (None, folder.name):
            continue
        if not os.access(folder, os.R_OK | os.X_OK):
            paths.append(str(folder))  # reading it reports it
            continue
        with os.scandir(folder) as entries:
            paths += [entry.path for entry in entries if _is_like_run(entry)]
    return paths


def _is_like_run(entry: os.DirEntry[str]) -> bool:
    if _ID.fullmatch(entry.name):
        return entry.is_dir()
    if _CHILD.match(entry.name) or entry.name[0] == "." or not entry.is_dir():
        return False
    return not os.access(entry.path, os.X_OK) or os.path.exists(f"{entry.path}/run.json")


def readable(runs: Iterable[Run]) -> Iterator[Run]:
    """The runs whose record can be read; a warning names each of the others."""
    for run in runs:
        try:
            _ = run.info
        except (RecordError, NotFoundError) as error:
            if Path(run.folder).exists():  # otherwise somebody has just removed it
                warnings.warn(f"skipping a run: {error}", LeftOutWarning, stacklevel=3)
        else:
            yield run


def is_child(folder: Path) -> bool:
    """Whether the run in `folder` is a trial, or was started by the script of another run, by its id."""
    return _CHILD.match(folder.name) is not None


def find(folders: Iterable[Path], reference: str) -> Run:
    """The run that `reference` means: an id, a unique prefix of one, a name, or `latest` (children do not count).

    Raises
    ------
    NotFoundError
        No run matches, or several do.
    """
    if not reference:  # which every id begins with: an unset variable must not remove or cancel the only run
        raise NotFoundError("the name of the run is empty; write an id, the beginning of one, a name, or latest")
    by_id = {folder.name: folder for folder in folders}
    if not by_id:
        raise NotFoundError(f"run '{reference}': this workspace has no runs yet")
    if reference == "latest":
        own = newest_first(folder for folder in by_id.values() if not is_child(folder))
        latest = next((run for run in readable(own) if run.info.parent is None), None)
        if latest is None:
            raise NotFoundError(
                "run 'latest': no run here can be read that is not a child; `aml runs` names the damaged ones"
            )
        return latest
    if reference in by_id:
        return Run(str(by_id[reference]))
    names = {} if may_be_id(reference) else run_names(by_id.values())
    named = names.get(unicodedata.normalize("NFC", reference), [])
    if len(named) == 1:
        return Run(str(named[0]))
    if named:
        ids = ", ".join(sorted(folder.name for folder in named))
        raise NotFoundError(f"run '{reference}': {len(named)} runs have this name: {ids}; use an id")
    matches = sorted(name for name in by_id if name.startswith(reference))
    if len(matches) == 1:
        return Run(str(by_id[matches[0]]))
    if matches:
        raise NotFoundError(f"run '{reference}': {len(matches)} runs begin with this: {', '.join(matches[:8])}")
    newest = ", ".join(sorted(by_id, reverse=True)[:8])
    near = get_close_matches(reference, names, n=1)
    hint = f"did you mean '{near[0]}'? The" if near else "the"
    raise NotFoundError(f"run '{reference}': no such run; {hint} newest are {newest}")
