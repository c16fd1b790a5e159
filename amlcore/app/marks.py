"""The verbs that mark runs and models: tag, note, name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from amlcore.app.runs import find_run
from amlcore.errors import NotFoundError, RequestError
from amlcore.model import Model, find
from amlcore.model import marking as model_marking
from amlcore.model.folders import registered_names
from amlcore.model.reference import ModelReference
from amlcore.runs import marking as run_marking
from amlcore.runs.run import Run
from amlcore.workspace import Workspace


@dataclass(frozen=True)
class Shown:
    """A run or a model and its marks, as `--json` prints them."""

    label: str
    facts: dict[str, Any]


def tag(workspace: Workspace, reference: str, *, tags: Mapping[str, str], remove: Sequence[str]) -> Shown:
    """Set and remove tags of a run or a model; with neither, nothing is written."""
    target = find_marked(workspace, reference)
    if isinstance(target, Model):
        if tags or remove:
            model_marking.set_tags(target, tags, remove=remove)
    elif tags or remove:
        run_marking.set_tags(target.record, tags, remove=remove)
    return _shown(target)


def note(workspace: Workspace, reference: str, text: str | None, *, remove: bool) -> Shown:
    """Replace or remove the note of a run or a model; with neither, nothing is written."""
    target = find_marked(workspace, reference)
    if text is not None or remove:
        if isinstance(target, Model):
            model_marking.set_note(target, text)
        else:
            run_marking.set_note(target.record, text)
    return _shown(target)


def name(workspace: Workspace, reference: str, new_name: str | None, *, remove: bool) -> Shown:
    """Name a run, or remove its name; with neither, nothing is written."""
    if ModelReference.names_version(reference):
        raise RequestError(
            f"model '{reference}': a model keeps its name; use `aml alias` to give a version another one"
        )
    run = find_run(workspace, reference)
    if new_name is not None or remove:
        run_marking.set_name(run.record, new_name, folders=workspace.run_folders)
    return _shown(run)


def find_marked(workspace: Workspace, reference: str) -> Run | Model:
    """The run or the model that `reference` means; a model is named with its version, as wine:3.

    Raises
    ------
    NotFoundError
        There is no such run or model.
    """
    if ModelReference.names_version(reference):
        return find(workspace.models_path, reference)
    try:
        return find_run(workspace, reference)
    except NotFoundError:
        if reference in registered_names(workspace.models_path):
            raise NotFoundError(f"'{reference}' is a model; name its version too, such as {reference}:latest") from None
        raise


def _shown(target: Run | Model) -> Shown:
    if isinstance(target, Model):
        model = Model.load_record(target.folder)
        return Shown(f"model {model.id}", {"id": model.id, "note": model.note, "tags": model.tags})
    row = target.summary()
    keys = ("id", "name", "note", "tags", "archived")
    return Shown(f"run {row['id']}", {key: row[key] for key in keys})
