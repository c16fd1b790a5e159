"""The models that a script logged through MLflow, and those that it asked MLflow to register."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from amlcore.errors import ModelError, suggest
from amlcore.log import Log
from amlcore.model import Model, Registration
from amlcore.model.aliases import set_alias
from amlcore.record.record import Record
from amlcore.worker.mlflow.journal import read_entries
from amlcore.worker.mlflow.models import Requests, VersionFacts


def logged_model(record: Record, name: str) -> tuple[Record, str]:
    """The run that logged the model `name`, this one or a child of its script, and the model's path in it.

    Of several models with one name it is the last one.

    Raises
    ------
    ModelError
        The script logged no such model.
    """
    models: dict[str, tuple[Record, str]] = {}
    for _, run, logged, path in sorted(_logged_models(record), key=lambda model: model[0]):
        models[logged] = run, path
    if name not in models:
        logged = f"it logged {', '.join(models)}; {suggest(name, models)}" if models else "it logged none"
        raise ModelError(f"model.mlflow={name}: run {record.folder.name} did not log a model of that name; {logged}")
    return models[name]


def _logged_models(record: Record) -> Iterator[tuple[float, Record, str, str]]:
    """When each model was logged, by which run, under which name, and its path."""
    for run in (record, *map(Record, record.child_folders)):
        for entry in read_entries(run.layout.mlflow):
            if entry["kind"] == "model":
                yield entry["at"], run, entry["name"], f"outputs/{entry['path']}"
            elif entry["kind"] == "logged_model":  # before MLflow 3
                path = str(entry["tags"]["artifact_path"])
                yield entry["at"], run, path, f"outputs/{path}"


def requested_models(record: Record) -> list[VersionFacts]:
    """The models that the script of a run asked to have registered, in the order of its calls."""
    return Requests(str(record.folder)).versions if Path(record.layout.mlflow).is_dir() else []


def source_of(request: VersionFacts, record: Record) -> Record:
    """The run that wrote a model which the script of `record` asked to have registered.

    Raises
    ------
    ModelError
        It is gone.
    """
    for folder in record.workspace_path.glob(f"outputs/*/{request.run}"):
        return Record(folder)
    raise ModelError(
        f"run {record.folder.name} asked MLflow to register {request.name} from run {request.run}, which does not exist"
    )


def registration_of(request: VersionFacts) -> Registration:
    return Registration(name=request.name, path=request.path, description=request.description, tags=request.tags)


def name_version(request: VersionFacts, model: Model, *, log: Log) -> None:
    """Set the aliases that the script gave its model, and say so if the version has another number than it was told."""
    for alias in request.aliases:
        set_alias(model.folder.parent.parent, model.name, alias, model.version, how="mlflow")
    told = "" if model.version == request.version else f", which its script was told would be version {request.version}"
    log(f"registered {model.id}{told}")
