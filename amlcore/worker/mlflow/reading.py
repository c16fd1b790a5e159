"""The part of the tracking store that reads: experiments, runs, their metrics and datasets."""

import json
import os

from mlflow.entities import Metric, ViewType
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.tracking import SEARCH_MAX_RESULTS_THRESHOLD
from mlflow.store.tracking.abstract_store import AbstractStore
from mlflow.utils.search_utils import SearchExperimentsUtils, SearchUtils

from amlcore.worker.layout import RunLayout
from amlcore.worker.metrics import MetricsTail
from amlcore.worker.mlflow import entities, journal, running
from amlcore.worker.mlflow.facts import ExperimentFacts
from amlcore.worker.mlflow.folders import FolderSource, milliseconds, numbers_of
from amlcore.worker.mlflow.uris import experiment_id, path_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

    from amlcore.worker.mlflow.facts import RunFacts, RunSource  # noqa: F401

    pass

DEFAULT, DEFAULT_ID = "Default", "0"
"""The experiment of a script that chooses none."""

EXPERIMENT_TAG = "mlflow.experiment"
"""The experiment that a script chose by itself: its run stays in the one that it was submitted to."""

_source_kind = [FolderSource]  # type: list[typing.Callable[[str], RunSource]]


def use_source(kind):
    # type: (typing.Callable[[str], RunSource]) -> None
    """Let all stores of this process take their runs from `kind(root)`, such as an index."""
    _source_kind[0] = kind


class ReadingStore(AbstractStore):
    """Answers MLflow's questions about the runs of a workspace from their folders."""

    def __init__(self, store_uri):
        # type: (str) -> None
        super(ReadingStore, self).__init__()
        root = root_of(store_uri)
        self._own = running.own_folder(root)
        self._root = root if self._own is None else os.path.dirname(os.path.dirname(os.path.dirname(self._own)))
        self._source = _source_kind[0](self._root)
        self._names = {}  # type: dict[str, str]  # what the script calls the experiments that it chose, by their ids

    # Experiments

    def search_experiments(
        self, view_type=ViewType.ACTIVE_ONLY, max_results=None, filter_string=None, order_by=None, page_token=None
    ):
        experiments = [self._experiment(facts) for facts in self._source.experiments()]
        if view_type == ViewType.DELETED_ONLY:
            experiments = []
        chosen = SearchExperimentsUtils.filter(experiments, filter_string)
        ordered = SearchExperimentsUtils.sort(chosen, order_by or ["creation_time DESC", "experiment_id ASC"])
        page, token = SearchUtils.paginate(ordered, page_token, max_results or SEARCH_MAX_RESULTS_THRESHOLD)
        return PagedList(page, token)

    def get_experiment(self, experiment_id):
        facts = self._experiment_facts(self._resolved(experiment_id))
        if facts is None:
            message = "there is no experiment '{}' in {}".format(experiment_id, self._root)
            raise MlflowException(message, RESOURCE_DOES_NOT_EXIST)
        return self._experiment(facts)

    def get_experiment_by_name(self, experiment_name):
        identifier = self._resolved(DEFAULT_ID if experiment_name == DEFAULT else experiment_id(experiment_name))
        if self._own is not None and experiment_name != DEFAULT:
            self._names[identifier] = experiment_name
        facts = self._experiment_facts(identifier)
        return None if facts is None else self._experiment(facts)

    def _resolved(self, identifier):
        # type: (str) -> str
        """The experiment that an id means: MLflow's own default is that of this script's run."""
        if identifier != DEFAULT_ID:
            return identifier
        return DEFAULT if self._own is None else os.path.basename(os.path.dirname(self._own))

    def _experiment_facts(self, identifier):
        # type: (str) -> ExperimentFacts | None
        """An experiment by its id; in a run any one is there, since the script may choose it by itself."""
        facts = self._source.experiment(identifier)
        is_chosen = facts is None and self._own is not None and identifier == experiment_id(identifier)
        return ExperimentFacts(identifier) if is_chosen else facts

    def _experiment(self, facts):
        # type: (ExperimentFacts) -> typing.Any
        tags = journal.read_entries(self._experiment_journal(facts.name))
        return entities.experiment_of(facts, self._root, self._names.get(facts.name), tags)

    def _experiment_journal(self, identifier):
        # type: (str) -> str
        return os.path.join(self._root, "outputs", identifier, ".mlflow")

    # Runs

    def get_run(self, run_id):
        return self._run(self._facts(run_id))

    def _search_runs(self, experiment_ids, filter_string, run_view_type, max_results, order_by, page_token):
        if max_results > SEARCH_MAX_RESULTS_THRESHOLD:
            message = "max_results must be at most {}, not {}".format(SEARCH_MAX_RESULTS_THRESHOLD, max_results)
            raise MlflowException(message, INVALID_PARAMETER_VALUE)
        stages = ViewType.to_string(run_view_type)
        shown = [
            self._run(facts)
            for facts in self._candidates(experiment_ids)
            if stages == "all" or facts.is_deleted == (stages == "deleted_only")
        ]
        chosen = SearchUtils.filter(shown, filter_string)
        return SearchUtils.paginate(SearchUtils.sort(chosen, order_by), page_token, max_results)

    def _candidates(self, experiment_ids):
        # type: (typing.Iterable[str]) -> list[RunFacts]
        """The runs of some experiments; those of an experiment that this script chose are in the one of its run."""
        wanted = list(dict.fromkeys(map(self._resolved, experiment_ids)))
        own = None if self._own is None else os.path.basename(os.path.dirname(self._own))
        folders = wanted if own is None or own in wanted else wanted + [own]
        runs = [facts for name in folders for facts in self._source.runs(name)]
        return runs if own is None else [facts for facts in runs if self._experiment_of(facts) in wanted]

    def _experiment_of(self, facts):
        # type: (RunFacts) -> str
        """The experiment that a run is said to be in: for a script the one that it chose, where it chose one."""
        if self._own is None or EXPERIMENT_TAG not in facts.tags:
            return facts.experiment
        return experiment_id(facts.tags[EXPERIMENT_TAG])

    def _facts(self, run_id):
        # type: (str) -> RunFacts
        facts = self._source.run(run_id)
        if facts is None:
            raise MlflowException("there is no run '{}' in {}".format(run_id, self._root), RESOURCE_DOES_NOT_EXIST)
        return facts

    def _run(self, facts):
        # type: (RunFacts) -> typing.Any
        """The run as MLflow has it; the same object while nothing changes."""
        status = running.status(facts.folder)
        key = self._experiment_of(facts), status if facts.status == "RUNNING" else None
        if facts.entity is None or facts.entity[0] != key:
            entries = journal.read_entries(RunLayout(facts.folder).mlflow)
            facts.entity = key, entities.run_of(facts, entries, self._source.finite_only, *key)
        return facts.entity[1]

    # Metrics

    def get_metric_history(self, run_id, metric_key, max_results=None, page_token=None):
        facts = self._facts(run_id)
        series = [
            metric
            for metric in self._history(facts, metric_key)
            if not self._source.finite_only or metric.value == metric.value
        ]
        if max_results is None:
            return PagedList(series, None)
        page, token = SearchUtils.paginate(series, page_token, max_results)
        return PagedList(page, token)

    def _history(self, facts, name):
        # type: (RunFacts, str) -> typing.Iterator[typing.Any]
        """All values of a metric; those without a step are counted."""
        count = 0
        for record in MetricsTail(RunLayout(facts.folder).metrics, names=_record_names(name)).read_new():
            for key, value in numbers_of(record):
                if key == name:
                    shown = entities.finite(value) if self._source.finite_only else value
                    step = count if record["step"] is None else record["step"]
                    yield Metric(name, shown, milliseconds(record), step)
                    count += 1

    # Datasets

    def _search_datasets(self, experiment_ids):
        return entities.dataset_summaries(
            (facts.experiment, journal.read_entries(RunLayout(facts.folder).mlflow))
            for facts in self._candidates(experiment_ids)
            if os.path.isdir(RunLayout(facts.folder).mlflow)
        )

    def search_traces(self, *args, **kwargs):
        return [], None


def _record_names(metric):
    # type: (str) -> tuple[str, ...]
    """The names that the records of a metric may have: its own, or that of a table with such a column."""
    parts = metric.split("/")
    return tuple("/".join(parts[: count + 1]) for count in range(len(parts)))


def root_of(uri):
    # type: (str) -> str
    """The root of the workspace at an address, which must be there."""
    try:
        root = path_of(uri)
    except ValueError as error:
        raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from None
    if not os.path.isdir(root):
        message = "{}: there is no folder {}; use amlcore:///path/to/workspace".format(uri, json.dumps(root))
        raise MlflowException(message, INVALID_PARAMETER_VALUE)
    return root
