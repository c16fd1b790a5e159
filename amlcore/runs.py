"""The runs of a workspace: listed, and found by what a user calls one."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

from amlcore.errors import LeftOutWarning, NotFoundError, RecordError
from amlcore.run import Run


def newest_first(folders: Iterable[Path]) -> list[Run]:
    """The runs in `folders`; one whose record is damaged is left out with a warning that names it."""
    created: list[tuple[str, Run]] = []
    for folder in folders:
        run = Run(str(folder))
        try:
            created.append((run.created, run))
        except (RecordError, NotFoundError) as error:
            if folder.exists():  # somebody may remove runs meanwhile
                warnings.warn(f"a run is left out: {error}", LeftOutWarning, stacklevel=3)
    return [run for _, run in sorted(created, key=lambda pair: pair[0], reverse=True)]


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
        latest = next((run for run in newest_first(known.values()) if run.facts["parent"] is None), None)
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
