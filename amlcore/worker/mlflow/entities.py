"""Facts as MLflow's own objects; their constructors differ between its versions."""

import inspect
import os

from mlflow import entities
from mlflow.entities import Experiment, LifecycleStage, Metric, Param, Run, RunData, RunInfo, RunInputs, RunTag

from amlcore.worker.mlflow.running import own_outputs
from amlcore.worker.mlflow.uris import file_uri_of, uri_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

    from amlcore.worker.mlflow.facts import ExperimentFacts, RunFacts  # noqa: F401

    pass

LARGEST = 1.7976931348623157e308
"""What stands for infinity where a page cannot take it, as in MLflow's own SQL store."""

_accepted = {}  # type: dict[typing.Any, typing.Any]


def build(kind, **fields):
    # type: (typing.Any, object) -> typing.Any
    """An object of MLflow, from those of `fields` that the constructor of this version has."""
    names = _accepted.get(kind)
    if names is None:
        names = _accepted[kind] = frozenset(inspect.signature(kind.__init__).parameters)
    return kind(**{name: value for name, value in fields.items() if name in names})


def stage(is_deleted):
    # type: (bool) -> str
    return LifecycleStage.DELETED if is_deleted else LifecycleStage.ACTIVE  # type: ignore[no-any-return]


def experiment_of(facts, root, name, entries):
    # type: (ExperimentFacts, str, str | None, list[dict[str, typing.Any]]) -> typing.Any
    """The experiment under the `name` that the script has for it; `entries` are those of its journal."""
    tags = {entry["name"]: entry["value"] for entry in entries if entry["kind"] == "tag"}
    return build(
        Experiment,
        experiment_id=facts.name,
        name=name or facts.name,
        artifact_location=file_uri_of(os.path.join(root, "outputs", facts.name)),
        lifecycle_stage=stage(False),
        tags=[entities.ExperimentTag(key, value) for key, value in tags.items() if value is not None],
        creation_time=facts.created_ms,
        last_update_time=facts.updated_ms,
    )


def run_of(facts, entries, finite_only, experiment, status):
    # type: (RunFacts, list[dict[str, typing.Any]], bool, str, str | None) -> typing.Any
    """The run with its data, datasets and models; `entries` are those of its journal.

    Parameters: `experiment` is the one that it is said to be in; `status`, if any, is what its script says of its end.
    """
    info = build(
        RunInfo,
        run_uuid=facts.id,
        run_id=facts.id,
        experiment_id=experiment,
        user_id=facts.user,
        status=status or facts.status,
        start_time=facts.started_ms,
        end_time=facts.ended_ms,
        lifecycle_stage=stage(facts.is_deleted),
        artifact_uri=artifact_uri(facts.folder),
        run_name=facts.name,
    )
    tags = dict(facts.tags)
    metrics = []
    for name, (value, step, timestamp) in facts.metrics.items():
        if finite_only and value != value:  # noqa: PLR0124 - NaN
            tags.setdefault(name, "NaN")
            continue
        metrics.append(Metric(name, finite(value) if finite_only else value, timestamp, step))
    data = RunData(
        metrics=metrics,
        params=[Param(name, value) for name, value in facts.parameters.items()],
        tags=[RunTag(name, value) for name, value in tags.items()],
    )
    return build(Run, run_info=info, run_data=data, run_inputs=_inputs(entries), run_outputs=_outputs(entries))


def finite(value):
    # type: (float) -> float
    return min(max(value, -LARGEST), LARGEST)


def artifact_uri(folder):
    # type: (str) -> str
    """Where the files of a run are; while its script runs, the folder in which that script finds them itself."""
    live = own_outputs(folder)
    return uri_of(folder) if live is None else file_uri_of(live)


def _inputs(entries):
    # type: (list[dict[str, typing.Any]]) -> typing.Any
    datasets = {}
    for entry in entries:
        if entry["kind"] == "dataset":
            datasets[entry["name"], entry["digest"]] = entry
    models = [entry for entry in entries if entry["kind"] == "model_input"]
    return build(
        RunInputs,
        dataset_inputs=[dataset_input(entry) for entry in datasets.values()],
        model_inputs=[entities.LoggedModelInput(model_id=entry["model_id"]) for entry in models],
    )


def dataset_input(entry):
    # type: (dict[str, typing.Any]) -> typing.Any
    """A dataset of a run, from its line in the journal."""
    keys = ("name", "digest", "source_type", "source", "schema", "profile")
    dataset = entities.Dataset(**{key: entry.get(key) for key in keys})
    tags = [entities.InputTag(key=key, value=value) for key, value in entry["tags"].items()]
    return entities.DatasetInput(dataset=dataset, tags=tags)


def _outputs(entries):
    # type: (list[dict[str, typing.Any]]) -> typing.Any
    kind = getattr(entities, "RunOutputs", None)
    if kind is None:  # before MLflow 3
        return None
    models = [entry for entry in entries if entry["kind"] == "model_output"]
    outputs = [entities.LoggedModelOutput(model_id=entry["model_id"], step=entry["step"]) for entry in models]
    return kind(model_outputs=outputs)


def dataset_summaries(experiments):
    # type: (typing.Iterable[tuple[str, list[dict[str, typing.Any]]]]) -> list[typing.Any]
    """Each dataset once that runs of some experiments name, as the table of runs lists them."""
    from mlflow.entities import _DatasetSummary

    summaries = {}
    for experiment, entries in experiments:
        for entry in entries:
            if entry["kind"] == "dataset":
                context = entry["tags"].get("mlflow.data.context", "")
                key = experiment, entry["name"], entry["digest"], context
                summaries[key] = _DatasetSummary(*key)
    return list(summaries.values())
