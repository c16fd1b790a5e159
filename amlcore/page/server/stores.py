"""The stores that MLflow's server asks: those of a script, over the index of runs, for reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from threading import Thread
from typing import Any

from mlflow.entities import Run, ViewType
from mlflow.store.entities.paged_list import PagedList
from mlflow.utils.search_utils import SearchUtils

from amlcore.errors import ModelError
from amlcore.page.server.listed_run import ListedRun
from amlcore.page.server.page_source import PageSource
from amlcore.record.marks import read_model_marks
from amlcore.worker.mlflow.facts import ExperimentFacts
from amlcore.worker.mlflow.models import VersionFacts
from amlcore.worker.mlflow.reading import use_source
from amlcore.worker.mlflow.registry import RegistryStore
from amlcore.worker.mlflow.store import TrackingStore
from amlcore.worker.mlflow.uris import uri_of
from amlcore.workspace import Workspace

FIRST_CHILDREN = 20
"""So many children of a run are listed beside it; the others come after all other runs."""


class PageStore(TrackingStore):
    """Answers what MLflow's page asks of the runs of a workspace."""

    _source: PageSource

    def __init__(self, workspace: Workspace) -> None:
        use_source(PageSource)
        super().__init__(uri_of(str(workspace.path)))

    def read_ahead(self) -> None:
        """Read the index in the background: a browser takes a second before it asks for runs."""
        Thread(target=self._source.look_again, daemon=True).start()

    def _experiment_facts(self, identifier: str) -> ExperimentFacts | None:
        facts = super()._experiment_facts(identifier)
        if facts is None:  # its first run may have begun since the last look
            self._source.look_again()
            facts = super()._experiment_facts(identifier)
        return facts

    def _search_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str | None,
        run_view_type: str,
        max_results: int,
        order_by: Sequence[str] | None,
        page_token: str | None,
    ) -> tuple[list[Run], str | None]:
        listed = self._source.listed(experiment_ids, archived=run_view_type == ViewType.DELETED_ONLY)
        if run_view_type == ViewType.ALL:
            listed += self._source.listed(experiment_ids, archived=True)
        ordered = SearchUtils.sort(SearchUtils.filter(listed, filter_string), order_by)
        if not filter_string:
            ordered = surplus_last(ordered)
        page, token = SearchUtils.paginate(ordered, page_token, max_results)
        runs = (self._source.run(run.run_id) for run in page)
        return [self._run(facts) for facts in runs if facts is not None], token

    def search_runs(self, *args: Any, **kwargs: Any) -> PagedList[Run]:
        return PagedList(*self._search_runs(*args, **kwargs))

    def query_trace_metrics(self, *_: object, **__: object) -> PagedList[Any]:
        return PagedList([], None)


class PageRegistry(RegistryStore):
    """Answers what MLflow's page asks of the models of a workspace, with the marks that people gave them."""

    def _versions(self) -> dict[str, list[VersionFacts]]:
        versions: dict[str, list[VersionFacts]] = super()._versions()
        for facts in (facts for of_one in versions.values() for facts in of_one):
            try:
                marks = read_model_marks(Path(self._root, "models", facts.name, str(facts.version)))
            except ModelError:  # damaged: `aml doctor` names it
                continue
            facts.tags = {key: str(value) for key, value in marks.over(facts.tags).items()}
            facts.description = marks.note or facts.description
        return versions


def surplus_last(runs: Sequence[ListedRun]) -> list[ListedRun]:
    """The runs in their order, but the children of one that has very many come last, all but the first ones.

    A table shows a hundred runs at first, and the trials of one sweep would be all that it shows.
    """
    counts: Counter[str] = Counter()
    first: list[ListedRun] = []
    last: list[ListedRun] = []
    for run in runs:
        parent = run.row.parent
        if parent is not None:
            counts[parent] += 1
        (last if parent is not None and counts[parent] > FIRST_CHILDREN else first).append(run)
    return [*first, *last]
