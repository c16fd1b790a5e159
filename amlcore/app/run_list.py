"""What `aml runs` lists: the newest runs from their folders, any others by the index."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amlcore.errors import NotFoundError, UnreadableError
from amlcore.log import Log
from amlcore.runs.find import folders_like_runs, newest_first
from amlcore.runs.marking import is_archived
from amlcore.runs.run import Run
from amlcore.runs.view import DAMAGED, RunView
from amlcore.worker.layout import RunLayout
from amlcore.workspace import Workspace

_FEW = 200
"""So many runs are read one by one; for more, the index knows those that have ended."""

_COUNTED = 1000
"""So many further runs are counted exactly; of more, only the folders are, even those of archived runs."""


@dataclass(frozen=True)
class RunListing:
    """Rows of the listed runs, and how many more there are."""

    rows: list[dict[str, Any]]
    further: int


def list_runs(
    workspace: Workspace,
    where: str | None = None,
    *,
    experiment: str | None = None,
    sort: str | None = None,
    ascending: bool = False,
    children: bool = False,
    sweeps: bool = True,
    archived: bool = False,
    limit: int | None = None,
    log: Log,
) -> RunListing:
    """List runs: those that a filter describes, or all of them; newest first, or sorted.

    A damaged run is listed with its state and logged. `sweeps=False` skips sweeps: they repeat the metrics of their
    best trials.
    """
    if where is None and sort is None and not children and limit is not None and limit <= _FEW:
        return _newest(workspace, experiment=experiment, archived=archived, limit=limit, log=log)
    from amlcore.index import RunKind, find  # imports sqlite3

    matches = find(
        workspace,
        where,
        experiment=experiment,
        children=children,
        archived=archived,
        sort=sort,
        ascending=ascending,
        log=log,
    )
    for reason in matches.skipped.values():
        log(f"warning: skipping a run: {reason}")
    matching = [row for row in matches.rows if sweeps or row.kind != RunKind.sweep]
    rows = [row.summary(str(workspace.outputs_path)) for row in matching[:limit]]
    for row in rows:
        _log_damage(row, log)
        row["metrics"] = _named_first(row["metrics"], matches.names)
        row["parameters"] = _named_first(row["parameters"], matches.names)
    return RunListing(rows, len(matching) - len(rows))


def _newest(workspace: Workspace, *, experiment: str | None, archived: bool, limit: int, log: Log) -> RunListing:
    """List the newest runs; only these are read."""
    folders = set(folders_like_runs(workspace, experiment))
    rows: list[dict[str, Any]] = []
    for run in newest_first(folders.copy()):
        folders.discard(run.folder)
        row = _row(run, log)
        if row is not None and (archived or not row["archived"]):
            rows.append(row)
            _log_damage(row, log)
        if len(rows) == limit:
            break
    if len(folders) > _COUNTED:
        return RunListing(rows, len(folders))
    return RunListing(rows, sum(_is_listed(Path(folder), archived) for folder in folders))


def _is_listed(folder: Path, archived: bool) -> bool:
    return os.path.exists(RunLayout(folder).run) and (archived or not is_archived(folder))


def _row(run: Run, log: Log) -> dict[str, Any] | None:
    """The row of a run; None if it cannot be read, or there is none."""
    try:
        return RunView(run.record).summary()
    except (UnreadableError, NotFoundError, OSError) as error:
        if os.path.exists(run.layout.run) or not os.access(run.folder, os.X_OK):  # nobody has just removed it
            log(f"warning: skipping a run: {error}")
        return None


def _named_first(values: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """`values` in the order that a table needs, which has no place for all of them."""
    return {**{name: values[name] for name in names if name in values}, **values}


def _log_damage(row: dict[str, Any], log: Log) -> None:
    if row["state"] == DAMAGED:
        log(f"warning: run {row['id']} is damaged: {row['reason']}")
