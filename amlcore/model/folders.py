"""The folders of models: the names and versions in a workspace's models/."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from amlcore.errors import LeftOutWarning, ModelError, NotFoundError, suggest
from amlcore.model.reference import LATEST, ModelReference
from amlcore.record.reading import unreadable_error
from amlcore.worker import model_log

RECORD = "model.json"
REMOVED = "removed.json"  # in the folder of a version that was removed, whose number is never used again
PREPARED = ".tmp-"  # the prefix of a folder that is still to become a version


def versions(folder: Path) -> list[int]:
    """The versions of the model in `folder`, in order; one that is still being prepared does not count."""
    if not folder.is_dir():
        return []
    try:
        children = list(folder.iterdir())
    except PermissionError:
        warnings.warn(f"skipping the models in {folder}: permission denied", LeftOutWarning, stacklevel=2)
        return []
    numbers = [int(path.name) for path in children if path.name.isdecimal() and _holds_version(path)]
    removed = removed_versions(folder) if numbers else []
    return sorted(number for number in numbers if number not in removed)


def next_version(folder: Path) -> int:
    """A number for the next version of the model in `folder`: above every one that was ever used."""
    numbers = [int(path.name) for path in folder.iterdir() if path.name.isdecimal()]
    return max([*numbers, *removed_versions(folder)], default=0) + 1


def removed_versions(folder: Path) -> list[int]:
    """The versions that were removed, as the log says; if it is damaged, the folders alone have to tell."""
    try:
        return state_of(folder).removed
    except ModelError:
        return []


@dataclass(frozen=True)
class LogState:
    """What holds after the last entry in the log of a model."""

    number: int = 0  # of that entry; 0: there is none
    aliases: dict[str, int] = field(default_factory=dict)
    removed: list[int] = field(default_factory=list)  # versions


def state_of(folder: Path) -> LogState:
    """What the log of the model in `folder` says now.

    Raises
    ------
    ModelError
        Its last entry cannot be read.
    """
    try:
        entry = model_log.last_entry(folder)
    except (OSError, ValueError) as problem:
        raise unreadable_error(_last_path(folder), problem, error=ModelError) from None
    return LogState() if entry is None else LogState(entry["number"], entry["aliases"], entry["removed_versions"])


def _holds_version(folder: Path) -> bool:
    """Whether `folder` is a version; one that this user may not read counts too, so its number is not given again."""
    return not os.access(folder, os.X_OK) or (folder / RECORD).exists()


def _last_path(folder: Path) -> Path:
    """The last entry in the log, or the folder of the log if it cannot be listed."""
    try:
        return Path(model_log.entry_path(folder, model_log.entry_numbers(folder)[-1]))
    except (OSError, IndexError):
        return folder / model_log.FOLDER


def registered(models: Path) -> list[Path]:
    """The folders in `models` that amlcore wrote; anything else is the user's, such as a Python package `models`."""
    if models.is_symlink() and not any(models.glob("*.py")):
        return [models]
    files = (f"*/*/{RECORD}", f"*/*/{REMOVED}", f"*/{model_log.FOLDER}/[0-9]*.json", "*/marks/[0-9]*.json")
    folders = {path.parent for pattern in files for path in models.glob(pattern)}
    return [*sorted(folders), *models.glob(f"*/{PREPARED}*")]


def named(models: Path) -> Iterator[Path]:
    """The folders whose names a model may have."""
    if models.is_dir():
        yield from (folder for folder in models.iterdir() if folder.is_dir() and not folder.name.startswith("."))


def registered_names(models: Path) -> list[str]:
    """The names of the registered models."""
    return sorted(folder.name for folder in named(models) if versions(folder))


def find_folder(models: Path, reference: str) -> Path:
    """The folder of the model that NAME, NAME:VERSION, NAME:latest or NAME@ALIAS means.

    Raises
    ------
    NotFoundError
        There is no such model, version or alias.
    RequestError
        `reference` does not name one version of a model.
    """
    wanted = ModelReference.parse(reference)
    name = wanted.name
    by_name = {folder.name: versions(folder) for folder in named(models)}
    registered = {folder: numbers for folder, numbers in by_name.items() if numbers}
    if name not in registered:
        raise NotFoundError(f"there is no model '{name}'; {suggest(name, registered)}")
    numbers = registered[name]
    if wanted.alias is not None and wanted.alias != LATEST:
        return models / name / str(_meant(models / name, wanted.alias, numbers))
    if wanted.version is None:  # @latest too
        return models / name / str(numbers[-1])
    if not wanted.version.isdecimal() or int(wanted.version) not in numbers:
        aliases = state_of(models / name).aliases
        if wanted.version in aliases:
            raise NotFoundError(
                f"model '{name}' has no version '{wanted.version}'; did you mean the alias, {name}@{wanted.version}?"
            )
        more = f"; aliases: {', '.join(sorted(aliases))}" if aliases else ""
        raise NotFoundError(
            f"model '{name}' has no version '{wanted.version}'; available: latest, {', '.join(map(str, numbers))}{more}"
        )
    return models / name / str(int(wanted.version))


def _meant(model: Path, alias: str, numbers: list[int]) -> int:
    """The version that an alias of the model means."""
    aliases = state_of(model).aliases
    if alias not in aliases:
        how = f"{suggest(alias, aliases)}; set it with: aml alias {model.name}@{alias} VERSION"
        raise NotFoundError(f"model '{model.name}' has no alias '{alias}'; {how}")
    if aliases[alias] not in numbers:
        raise NotFoundError(
            f"{model.name}@{alias} means version {aliases[alias]}, whose folder {model / str(aliases[alias])} is gone"
        )
    return aliases[alias]
