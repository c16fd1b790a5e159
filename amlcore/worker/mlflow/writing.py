"""The part of the tracking store that writes: everything goes into the records of runs, as amlcore itself writes it."""

import os

from mlflow.entities import RunStatus
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from amlcore.worker.files import make_folder
from amlcore.worker.layout import NAME_TAG
from amlcore.worker.metrics import write_records
from amlcore.worker.mlflow import journal, running
from amlcore.worker.mlflow.not_implemented import not_implemented
from amlcore.worker.mlflow.reading import DEFAULT, EXPERIMENT_TAG, ReadingStore
from amlcore.worker.mlflow.run_writer import ParameterChangedError, RunWriter
from amlcore.worker.mlflow.uris import experiment_id as valid_experiment
from amlcore.worker.run_names import create_run_folder
from amlcore.worker.script import script_runs

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

PARENT_TAG = "mlflow.parentRunId"
RECORDED_BY_AMLCORE = (
    PARENT_TAG,
    "mlflow.user",
    "mlflow.source.name",
    "mlflow.source.type",
    "mlflow.source.git.commit",
)
"""Tags by which MLflow's client describes where a run comes from: the record of the run says it already."""


class WritingStore(ReadingStore):
    """Writes what a script logs into its run, and starts runs: within a run its children, elsewhere new ones."""

    def __init__(self, store_uri):
        # type: (str) -> None
        super(WritingStore, self).__init__(store_uri)
        self._writers = {}  # type: dict[str, RunWriter]

    # Experiments

    def create_experiment(self, name, artifact_location=None, tags=None):
        identifier = valid_experiment(name)
        if self._own is None:
            make_folder(os.path.join(self._root, "outputs", identifier))
        else:
            self._names[identifier] = name
        for tag in tags or []:
            self.set_experiment_tag(identifier, tag)
        return identifier

    def set_experiment_tag(self, experiment_id, tag):
        self._note_experiment(experiment_id, tag.key, tag.value)

    def delete_experiment_tag(self, experiment_id, key):
        self._note_experiment(experiment_id, key, None)

    def _note_experiment(self, identifier, key, value):
        # type: (str, str, str | None) -> None
        folder = self._experiment_journal(self._resolved(identifier))
        make_folder(folder)
        write_records(folder, [journal.new_entry("tag", name=key, value=value)])

    def delete_experiment(self, experiment_id):
        raise not_implemented("amlcore does not delete experiments; `aml rm` removes runs")

    def restore_experiment(self, experiment_id):
        raise not_implemented("amlcore does not delete experiments, so there is nothing to restore")

    def rename_experiment(self, experiment_id, new_name):
        raise not_implemented("amlcore does not rename experiments: an experiment is the folder of its runs")

    # Runs

    def create_run(self, experiment_id, user_id, start_time, tags, run_name):
        experiment_id = self._resolved(experiment_id)
        by_name = {tag.key: tag.value for tag in tags or []}
        name = run_name or by_name.get(NAME_TAG)
        script = by_name.get("mlflow.source.name")
        folder = self._new_folder(experiment_id, by_name.get(PARENT_TAG), name, user=user_id, script=script)
        writer = self._writer_in(folder)
        if name:
            by_name[NAME_TAG] = name
        chosen = self._names.get(experiment_id)
        if self._own is not None and experiment_id != os.path.basename(os.path.dirname(folder)):
            by_name[EXPERIMENT_TAG] = chosen or experiment_id
        writer.log_tags({key: value for key, value in by_name.items() if key not in RECORDED_BY_AMLCORE})
        return self.get_run(os.path.basename(folder))

    def _new_folder(self, experiment, parent, name, user, script):
        # type: (str, str | None, str | None, str, str | None) -> str
        """The folder of a new run: the script's own run once, then children of it; outside of a run a run by itself."""
        if parent is not None:
            return self._writer(parent).start_child(name, user)
        if self._own is None:
            if experiment != DEFAULT:
                self.get_experiment(experiment)  # which must be there
            _, folder = create_run_folder(self._root, experiment)
            script = os.path.basename(script or "") or None
            script_runs.start(folder, experiment=experiment, name=name, script=script, user=user, offline=True)
            return folder
        return self._own if running.take(self._own) else self._writer_in(self._own).start_child(name, user)

    def update_run_info(self, run_id, run_status, end_time, run_name):
        folder = self._writer(run_id).folder
        if run_name and run_name != self._facts(run_id).name:
            self._writer(run_id).log_tags({NAME_TAG: run_name})
        if run_status is not None:
            self._enter(folder, RunStatus.to_string(run_status))
        return self.get_run(run_id).info

    def _enter(self, folder, status):
        # type: (str, str) -> None
        """Note that a run has ended, or goes on; the state of a run that was submitted is its driver's to write."""
        if script_runs.is_submitted(folder):
            running.remember_status(folder, status)
        elif status == "FINISHED":
            script_runs.end(folder, "Completed")
        elif status == "FAILED":
            script_runs.end(folder, "Failed", "the script ended it as failed")
        elif status == "KILLED":
            script_runs.end(folder, "Canceled", "the script ended it")
        elif not script_runs.is_open(folder) and script_runs.has_ended(folder):
            script_runs.reopen(folder)

    def delete_run(self, run_id):
        self._writer(run_id).note("lifecycle", deleted=True)

    def restore_run(self, run_id):
        self._writer(run_id).note("lifecycle", deleted=False)

    def _writer(self, run_id):
        # type: (str) -> RunWriter
        return self._writers.get(run_id) or self._writer_in(self._facts(run_id).folder)

    def _writer_in(self, folder):
        # type: (str) -> RunWriter
        return self._writers.setdefault(os.path.basename(folder), RunWriter(folder))

    # What a run logs

    def log_batch(self, run_id, metrics, params, tags):
        writer = self._writer(run_id)
        if params:
            self._log_parameters(writer, params)
        if metrics:
            writer.log_numbers(self._new_numbers(writer, metrics))
        if tags:
            writer.log_tags({_checked_name(tag.key): _text(tag.value) for tag in tags})

    def log_metric(self, run_id, metric):
        self.log_batch(run_id, [metric], (), ())

    def log_param(self, run_id, param):
        self.log_batch(run_id, (), [param], ())

    def set_tag(self, run_id, tag):
        self.log_batch(run_id, (), (), [tag])

    def delete_tag(self, run_id, key):
        if key not in self._facts(run_id).tags:
            raise MlflowException("run {} has no tag '{}'".format(run_id, key), INVALID_PARAMETER_VALUE)
        self._writer(run_id).delete_tag(key)

    def log_inputs(self, run_id, datasets=None, models=None):
        writer = self._writer(run_id)
        for given in datasets or []:
            dataset = given.dataset
            fields = {
                key: getattr(dataset, key) for key in ("name", "digest", "source_type", "source", "schema", "profile")
            }
            writer.note("dataset", tags={tag.key: tag.value for tag in given.tags}, **fields)
        for model in models or []:
            writer.note("model_input", model_id=model.model_id)

    def record_logged_model(self, run_id, mlflow_model):
        describe = getattr(mlflow_model, "get_tags_dict", mlflow_model.to_dict)  # to_dict before MLflow 2.10
        self._writer(run_id).note("logged_model", tags=describe())

    def _log_parameters(self, writer, params):
        # type: (RunWriter, typing.Any) -> None
        values = {}  # type: dict[str, str]
        try:
            for param in params:
                value = _text(param.value)
                if values.setdefault(_checked_name(param.key), value) != value:
                    raise ParameterChangedError(param.key, values[param.key], value)
            writer.log_parameters(values)
        except ParameterChangedError as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from None

    def _new_numbers(self, writer, metrics):
        # type: (RunWriter, typing.Any) -> list[tuple[str, float, int, int]]
        """The metrics as numbers of the run; a value of a model that the run has already goes to the model alone.

        MLflow 3 logs the values of a step again, with the id of the model, when it logs a model at that step.
        """
        numbers = []
        for metric in metrics:
            number = _checked_name(metric.key), _number(metric), int(metric.timestamp), int(metric.step)
            model = getattr(metric, "model_id", None)
            if model is not None:
                self._log_model_number(writer, model, number, metric)
            if model is None or not writer.has_number(number):
                numbers.append(number)
        return numbers

    def _log_model_number(self, writer, model, number, metric):
        # type: (RunWriter, str, tuple[str, float, int, int], typing.Any) -> None
        raise NotImplementedError


def _number(metric):
    # type: (typing.Any) -> float
    try:
        return float(metric.value)  # of any library's kind
    except (TypeError, ValueError):
        message = "metric '{}' must be a number, not {!r}".format(metric.key, metric.value)
        raise MlflowException(message, INVALID_PARAMETER_VALUE) from None


def _checked_name(name):
    # type: (object) -> str
    if not isinstance(name, str) or not name.strip():
        raise MlflowException("a name must be text that is not empty, not {!r}".format(name), INVALID_PARAMETER_VALUE)
    return name


def _text(value):
    # type: (object) -> str
    return "" if value is None else str(value)
