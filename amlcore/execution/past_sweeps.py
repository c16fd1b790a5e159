"""Past sweeps: how one was submitted, and its trials as a warm start for the sampler of a new one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from amlcore.config import Search
from amlcore.errors import NotFoundError, RecordError, RequestError
from amlcore.model import find as find_model
from amlcore.model.reference import ModelReference
from amlcore.record.reading import read_mapping
from amlcore.record.record import Record
from amlcore.runs.find import find

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


def load_search(record: Record) -> Search:
    """The search that a sweep was submitted with, in the workspace that contains its record now.

    Raises
    ------
    RequestError
        The run is not a sweep.
    RecordError
        Its record is damaged.
    """
    root = record.folder.parent.parent.parent
    try:
        value = read_mapping(record.layout.sweep)
        if value is not None:
            search = Search.from_json(value)
            return replace(search, bases=[replace(base, job=base.job.moved(root)) for base in search.bases])
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise RecordError(f"{record.layout.sweep} is damaged: {error}") from None
    raise RequestError(f"run {record.folder.name} is not a sweep")


def with_full_ids(search: Search) -> Search:
    """The same search with the full ids of the sweeps in sweep.warm_start, where a model means the sweep it is from."""
    if not search.sweep.warm_start:
        return search
    workspace = search.job.workspace
    folders = list(workspace.run_folders)
    try:
        ids = [_sweep_id(folders, reference, models=workspace.models_path) for reference in search.sweep.warm_start]
    except NotFoundError as error:
        raise NotFoundError(f"sweep.warm_start=[{','.join(search.sweep.warm_start)}]: {error}") from None
    return search.with_sweep(replace(search.sweep, warm_start=list(dict.fromkeys(ids))))


def _sweep_id(folders: list[Path], reference: str, *, models: Path) -> str:
    """The id of the sweep that `reference` means; of a model, the sweep whose best trial it is."""
    if not ModelReference.names_version(reference):
        return find(folders, reference).id
    model = find_model(models, reference)
    if model.run is None:
        raise NotFoundError(f"model {model.id} was registered from a file, not from a run")
    run = find(folders, model.run)
    return run.info.parent or run.id


def past_trials(search: Search) -> list[FrozenTrial]:
    """The trials of the sweeps in sweep.warm_start, as trials of the space of `search`.

    Raises
    ------
    RequestError
        One is not a sweep, or has another space, or the sampler cannot learn from trials.
    """
    from amlcore.sweep.read_only_study import own_trials
    from amlcore.sweep.warm_start import check_sampler_learns, check_use, warm_start_trials

    sweep = search.sweep
    if not sweep.warm_start:
        return []
    check_sampler_learns(sweep)
    folders = list(search.job.workspace.run_folders)
    trials = []
    for name in sweep.warm_start:
        record = Record(Path(find(folders, name).folder))
        earlier = load_search(record)
        trials += warm_start_trials(
            sweep,
            search.space,
            name=record.folder.name,
            earlier=earlier.sweep,
            earlier_space=earlier.space,
            trials=own_trials(Path(record.layout.study)),
        )
    check_use(sweep, search.space, len(trials))
    return trials
