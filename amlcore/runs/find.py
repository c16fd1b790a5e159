"""The runs of a workspace: listed, and found by what a user calls one."""

from __future__ import annotations

import heapq
import re
import warnings
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby
from pathlib import Path

from amlcore.errors import LeftOutWarning, NotFoundError, RecordError
from amlcore.runs.run import Run
from amlcore.runs.view import creation_time

_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]+")
_CHILD = re.compile(rf"{_ID.pattern}_")


def newest_first(folders: Iterable[Path]) -> Iterator[Run]:
    """The runs in `folders`; of those whose ids tell the order nothing is read.

    An id begins with the second in which its run was submitted. Two of one second, a child, which has the id of its
    parent, and a folder that somebody has given another name are read for the moment that they were created.
    """
    plain: list[Run] = []
    read: list[tuple[datetime, Run]] = []
    for folder in folders:
        run = Run(str(folder))
        if _ID.fullmatch(folder.name):
            plain.append(run)
        else:
            read.append((creation_time(run.record), run))
    plain.sort(key=lambda run: run.id, reverse=True)
    seconds = (list(runs) for _, runs in groupby(plain, key=lambda run: run.id[:15]))
    in_order = (
        run
        for runs in seconds
        for run in (runs if len(runs) == 1 else sorted(runs, key=lambda run: creation_time(run.record), reverse=True))
    )
    if not read:
        yield from in_order
        return
    read.sort(key=lambda pair: pair[0], reverse=True)
    dated = ((creation_time(run.record), run) for run in in_order)  # read one by one, as far as the list is shown
    yield from (run for _, run in heapq.merge(read, dated, key=lambda pair: pair[0], reverse=True))


def readable(runs: Iterable[Run]) -> Iterator[Run]:
    """The same runs without those whose record is damaged, with a warning that names each."""
    for run in runs:
        try:
            _ = run.info
        except (RecordError, NotFoundError) as error:
            if Path(run.folder).exists():  # somebody may remove runs meanwhile
                warnings.warn(f"a run is left out: {error}", LeftOutWarning, stacklevel=3)
        else:
            yield run


def is_child(folder: Path) -> bool:
    """Whether the run in `folder` is a trial, or was begun by the script of another run, as its id tells."""
    return _CHILD.match(folder.name) is not None


def find(folders: Iterable[Path], reference: str) -> Run:
    """The run that `reference` means: its id, a unique beginning of it, or `latest` (of those that are no child).

    Raises
    ------
    NotFoundError
        None matches, or several do.
    """
    known = {folder.name: folder for folder in folders}
    if not known:
        raise NotFoundError(f"run '{reference}': there are no runs here yet")
    if reference == "latest":
        own = newest_first(folder for folder in known.values() if not is_child(folder))
        latest = next((run for run in readable(own) if run.info.parent is None), None)
        if latest is None:
            raise NotFoundError(
                "run 'latest': none of the runs here can be read as one of its own; `aml runs` names the damaged ones"
            )
        return latest
    if reference in known:
        return Run(str(known[reference]))
    matches = sorted(name for name in known if name.startswith(reference))
    if len(matches) == 1:
        return Run(str(known[matches[0]]))
    if matches:
        raise NotFoundError(f"run '{reference}': {len(matches)} runs begin so: {', '.join(matches[:8])}")
    newest = ", ".join(sorted(known, reverse=True)[:8])
    raise NotFoundError(f"run '{reference}': there is none; the newest are {newest}")
