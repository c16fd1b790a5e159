"""What the verbs for aliases and versions of models do: alias, models log, models show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amlcore.errors import ModelError, NotFoundError, RequestError, suggest
from amlcore.log import Log
from amlcore.model.aliases import LogEntry, aliases_of, log_entries
from amlcore.model.folders import find_folder, named, versions
from amlcore.model.model import Model
from amlcore.model.reference import ModelReference


def with_aliases(models: Path, rows: Sequence[dict[str, Any]], *, log: Log) -> list[dict[str, Any]]:
    """The rows of models, each with its `aliases`; the log of each model is read once."""
    by_name: dict[str, dict[str, int]] = {}
    for name in {str(row["name"]) for row in rows}:
        try:
            by_name[name] = aliases_of(models / name)
        except ModelError as error:
            log(f"warning: the aliases of '{name}' cannot be shown: {error}")
            by_name[name] = {}
    return [
        {**row, "aliases": [alias for alias, version in by_name[row["name"]].items() if version == row["version"]]}
        for row in rows
    ]


def list_aliases(models: Path, name: str | None = None) -> list[dict[str, Any]]:
    """The aliases of one model, or of all, each with the move that set it.

    Raises
    ------
    NotFoundError
        There is no model `name`.
    """
    names = sorted(folder.name for folder in named(models) if versions(folder))
    if name is not None and name not in names:
        raise NotFoundError(f"there is no model '{name}'; {suggest(name, names)}")
    return [row for each in (names if name is None else [name]) for row in _aliases_of_one(models / each)]


def _aliases_of_one(model: Path) -> list[dict[str, Any]]:
    aliases = aliases_of(model)
    moves = {entry.alias: entry for entry in log_entries(model) if entry.event == "set"} if aliases else {}
    return [move_to_json(model.name, moves[alias]) for alias in aliases if alias in moves]


def move_to_json(name: str, entry: LogEntry) -> dict[str, Any]:
    """A move of an alias, as `aml alias --json` prints it."""
    return {
        "model": name,
        "alias": entry.alias,
        "version": None if entry.event == "unset" else entry.version,
        "previous": entry.previous,
        "at": str(entry.at),
        "by": entry.by,
        "why": entry.why,
    }


def version_for(models: Path, reference: ModelReference, text: str) -> int:
    """The version that `aml alias NAME@ALIAS VERSION` means: 7, latest, @ALIAS, or NAME:7 and NAME@ALIAS in full.

    Raises
    ------
    RequestError
        It is a version of another model.
    """
    if ":" not in text and "@" not in text:
        text = f"{reference.name}:{text}"
    elif text.startswith("@"):
        text = f"{reference.name}{text}"
    target = ModelReference.parse(text)
    if target.name != reference.name:
        raise RequestError(f"{reference}: it can only mean a version of '{reference.name}', not {text}")
    return int(find_folder(models, text).name)


def show_model(models: Path, reference: str) -> dict[str, Any]:
    """Everything that is recorded of a version of a model."""
    model = Model.load_record(find_folder(models, reference))
    fields = {key: value for key, value in vars(model).items() if key not in ("folder", "class_name")}
    about = {**model.to_json(), "aliases": model.aliases, **fields, "class": model.class_name}
    return {**about, "folder": str(model.folder)}
