"""The models that MLflow 3 logs as things of their own: each is a folder in the outputs of the run that wrote it."""

import os
import uuid

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST
from mlflow.store.entities.paged_list import PagedList

from amlcore.worker.layout import RunLayout
from amlcore.worker.mlflow import journal
from amlcore.worker.mlflow.artifacts import outputs_of
from amlcore.worker.mlflow.entities import artifact_uri
from amlcore.worker.mlflow.running import own_outputs
from amlcore.worker.mlflow.writing import WritingStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing

    from amlcore.worker.mlflow.run_writer import RunWriter  # noqa: F401

    Entry = dict[str, typing.Any]

PREFIX = "m-"
MAX_RESULTS = 100


class LoggedModelStore(WritingStore):
    """Keeps what MLflow knows of models in the journal of their run; the id of a model begins with that of its run."""

    def create_logged_model(
        self, experiment_id, name=None, source_run_id=None, tags=None, params=None, model_type=None
    ):
        folder = self._folder_for_model(source_run_id, experiment_id)
        model_id = "{}{}-{}".format(PREFIX, os.path.basename(folder), uuid.uuid4().hex[:12])
        self._writer_in(folder).note(
            "model",
            model_id=model_id,
            name=name or "model",
            path=_reserve(own_outputs(folder) or outputs_of(folder), name or "model"),
            experiment=self._resolved(experiment_id),
            run=source_run_id,
            model_type=model_type,
            tags={tag.key: tag.value for tag in tags or []},
            parameters={param.key: param.value for param in params or []},
        )
        return self.get_logged_model(model_id)

    def finalize_logged_model(self, model_id, status):
        self._note(model_id, "model_status", status=str(getattr(status, "value", status)))
        return self.get_logged_model(model_id)

    def set_logged_model_tags(self, model_id, tags):
        self._note(model_id, "model_tags", tags={tag.key: tag.value for tag in tags})

    def delete_logged_model_tag(self, model_id, key):
        self._note(model_id, "model_tags", tags={key: None})

    def log_logged_model_params(self, model_id, params):
        self._note(model_id, "model_parameters", parameters={param.key: param.value for param in params})

    def delete_logged_model(self, model_id):
        self._note(model_id, "model_deleted")

    def log_outputs(self, run_id, models):
        writer = self._writer(run_id)
        for model in models:
            writer.note("model_output", model_id=model.model_id, step=model.step)

    def get_logged_model(self, model_id, allow_deleted=False):
        folder = self._folder_of_model(model_id)
        models = {} if folder is None else _models(folder, allow_deleted)
        if model_id not in models:
            raise MlflowException("there is no model with the id '{}'".format(model_id), RESOURCE_DOES_NOT_EXIST)
        return models[model_id]

    def search_logged_models(
        self, experiment_ids, filter_string=None, datasets=None, max_results=None, order_by=None, page_token=None
    ):
        from mlflow.utils.search_utils import SearchLoggedModelsUtils

        if datasets and not all(dataset.get("dataset_name") for dataset in datasets):
            raise MlflowException("each of datasets needs a dataset_name", INVALID_PARAMETER_VALUE)
        models = [
            model
            for facts in self._candidates(experiment_ids)
            if os.path.isdir(RunLayout(facts.folder).mlflow)
            for model in _models(facts.folder).values()
        ]
        chosen = SearchLoggedModelsUtils.filter_logged_models(models, filter_string, datasets)
        ordered = SearchLoggedModelsUtils.sort(chosen, order_by)
        page, token = SearchLoggedModelsUtils.paginate(ordered, page_token, max_results or MAX_RESULTS)
        return PagedList(page, token)

    def _folder_for_model(self, run, experiment):
        # type: (str | None, str) -> str
        """The folder of the run that a model belongs to; one that is logged outside of any gets a run of its own."""
        if run is not None:
            return self._writer(run).folder
        return self._own or self._new_folder(self._resolved(experiment), None, None, user="", script=None)

    def _folder_of_model(self, model_id):
        # type: (str) -> str | None
        run = model_id[len(PREFIX) :].rpartition("-")[0]
        facts = self._source.run(run) if run else None
        return None if facts is None else facts.folder

    def _note(self, model_id, kind, **fields):
        # type: (str, str, object) -> None
        folder = self._folder_of_model(model_id)
        if folder is None:
            raise MlflowException("there is no model with the id '{}'".format(model_id), RESOURCE_DOES_NOT_EXIST)
        self._writer_in(folder).note(kind, model_id=model_id, **fields)

    def _log_model_number(self, writer, model, number, metric):
        # type: (RunWriter, str, tuple[str, float, int, int], typing.Any) -> None
        name, value, timestamp, step = number
        dataset = {"dataset_name": metric.dataset_name, "dataset_digest": metric.dataset_digest}
        fields = {"name": name, "value": value, "timestamp": timestamp, "step": step, "run": writer.id}
        self._note(model, "model_metric", **dict(fields, **dataset))


def _models(folder, with_deleted=False):
    # type: (str, bool) -> dict[str, typing.Any]
    """The models that the run in `folder` logged, by their ids."""
    by_id = {}  # type: dict[str, list[Entry]]
    for entry in journal.read_entries(RunLayout(folder).mlflow):
        if entry["kind"].startswith("model") and entry["kind"] not in ("model_input", "model_output"):
            by_id.setdefault(entry["model_id"], []).append(entry)
    return {
        identifier: _model(entries, folder)
        for identifier, entries in by_id.items()
        if entries[0]["kind"] == "model" and (with_deleted or all(one["kind"] != "model_deleted" for one in entries))
    }


def _model(entries, folder):
    # type: (list[Entry], str) -> typing.Any
    """A model, from its entries in the order of time."""
    from mlflow.entities import LoggedModel, LoggedModelStatus, Metric

    model = entries[0]
    tags, parameters, status, metrics = {}, {}, "PENDING", {}  # type: Entry, Entry, str, typing.Any
    for entry in entries:
        tags.update(entry.get("tags") or {})
        parameters.update(entry.get("parameters") or {})
        status = entry.get("status", status)
        if entry["kind"] == "model_metric":
            metrics[entry["name"], entry["dataset_name"], entry["dataset_digest"]] = entry
    return LoggedModel(
        experiment_id=model["experiment"],
        model_id=model["model_id"],
        name=model["name"],
        artifact_location="{}/{}".format(artifact_uri(folder), model["path"]),
        creation_timestamp=int(model["at"] * 1000),
        last_updated_timestamp=int(entries[-1]["at"] * 1000),
        model_type=model["model_type"],
        source_run_id=model["run"],
        status=LoggedModelStatus(status),
        tags={key: value for key, value in tags.items() if value is not None},
        params=parameters,
        metrics=[
            Metric(
                one["name"],
                one["value"],
                one["timestamp"],
                one["step"],
                model_id=model["model_id"],
                dataset_name=one["dataset_name"],
                dataset_digest=one["dataset_digest"],
                run_id=one["run"],
            )
            for one in metrics.values()
        ],
    )


def _reserve(outputs, name):
    # type: (str, str) -> str
    """Create the folder of a model and return its name in `outputs`; a second one of the same name gets a number."""
    os.makedirs(outputs, exist_ok=True)
    number = 1
    while True:
        path = name if number == 1 else "{}-{}".format(name, number)
        target = os.path.join(outputs, path)
        try:
            os.mkdir(target)
            return path
        except FileExistsError:
            if number == 1 and os.path.isdir(target) and not os.listdir(target):
                return path  # the script made it
            number += 1
