"""The runs that the page shows: rows of the index for its lists, and the runs of one page whole from their folders."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from amlcore.errors import RecordError
from amlcore.index.index import RunIndex
from amlcore.index.row import RunRow
from amlcore.page.server.listed_run import ListedRun, short_name
from amlcore.record.marks import Marks, read_marks
from amlcore.terminal.output import log
from amlcore.worker.layout import RunLayout
from amlcore.worker.mlflow.facts import ExperimentFacts, RunFacts
from amlcore.worker.mlflow.folders import FolderSource
from amlcore.worker.values import text
from amlcore.workspace import Workspace

LOOK_S = 1.0
"""How old what the page shows may be: it sends several requests at once, and repeats them when it refreshes itself."""

REPORTS = ("plots/report.html", "trials.csv", "importances.json")
"""What a sweep writes about its trials."""


class PageSource(FolderSource):
    """The runs of a workspace with the marks that people gave them; an archived run counts as deleted in MLflow."""

    finite_only = True

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self._index = RunIndex(Workspace(root=root), log=log)
        self._marked: dict[str, tuple[RunFacts, Marks, str, RunFacts]] = {}

    def listed(self, experiments: Iterable[str], *, archived: bool) -> list[ListedRun]:
        """All runs of some experiments, as they are filtered and ordered; children go with their parents."""
        wanted = {*experiments}
        rows = {row.id: row for row in self._rows() if row.experiment in wanted}
        hidden = {row.id for row in rows.values() if row.archived}
        return [ListedRun(row) for row in rows.values() if _is_among(hidden, row, rows) == archived]

    def experiments(self) -> list[ExperimentFacts]:
        experiments: dict[str, ExperimentFacts] = {}
        for row in self._rows():
            created = int(1000 * row.created_s)
            facts = experiments.setdefault(row.experiment, ExperimentFacts(row.experiment, created, created))
            facts.created_ms = min(facts.created_ms, created)
            facts.updated_ms = max(facts.updated_ms, created if row.ended_s is None else int(1000 * row.ended_s))
        return [experiments[name] for name in sorted(experiments)]

    def look_again(self) -> None:
        """Look at the folders now: something is asked for that the last look did not find."""
        self._index.look()

    def run(self, identifier: str) -> RunFacts | None:
        """A run with its marks; the same object while neither changes, since the store converts it once."""
        facts = super().run(identifier)
        if facts is None:
            return None
        marks, description = _marks(facts.folder), _description(facts)
        before = self._marked.get(identifier)
        if before is None or before[:3] != (facts, marks, description):
            before = self._marked[identifier] = facts, marks, description, _marked(facts, marks, description)
        return before[3]

    def _rows(self) -> Iterable[RunRow]:
        return self._index.look(max_age_s=LOOK_S).values()


def _is_among(identifiers: set[str], row: RunRow | None, rows: Mapping[str, RunRow]) -> bool:
    """Whether a run or one that it descends from is one of `identifiers`."""
    if not identifiers:
        return False
    while row is not None and row.id not in identifiers:
        row = None if row.parent is None else rows.get(row.parent)
    return row is not None


def _marks(folder: str) -> Marks:
    try:
        return read_marks(folder)
    except RecordError:  # damaged: `aml doctor` names it
        return Marks()


def _marked(facts: RunFacts, marks: Marks, description: str) -> RunFacts:
    marked = copy.copy(facts)
    marked.entity = None
    marked.is_deleted = marks.archived
    marked.name = marks.name or short_name(facts.name)
    note = "\n\n".join(part for part in (marks.note, description) if part)
    own = {"mlflow.runName": marked.name, **({"mlflow.note.content": note} if note else {})}
    marked.tags = {**{key: text(value) for key, value in marks.over(facts.tags).items()}, **own}
    return marked


def _description(facts: RunFacts) -> str:
    """For a sweep, in Markdown: how to follow it, and where what it wrote about its trials is."""
    layout = RunLayout(facts.folder)
    if not os.path.exists(layout.sweep):
        return ""
    here = f"#/experiments/{quote(facts.experiment)}/runs/{facts.id}/artifacts"
    reports = [name for name in REPORTS if os.path.exists(os.path.join(layout.outputs, name))]
    links = ", ".join(f"[{name}]({here}/{name})" for name in reports)
    lines = [f"A sweep: `aml ui {facts.id}` shows its trials in optuna-dashboard."]
    if reports:
        lines.append(f"Its reports, in `{layout.outputs}`: {links}")
    return "\n\n".join(lines)
