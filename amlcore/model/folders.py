"""The folders of models: the names and versions in a workspace's models/."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from amlcore.errors import LeftOutWarning, NotFoundError, suggest

RECORD = "model.json"
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
    return sorted(int(path.name) for path in children if path.name.isdecimal() and _holds_version(path))


def _holds_version(folder: Path) -> bool:
    """Whether `folder` is a version; one that this user may not read counts too, so its number is not given again."""
    return not os.access(folder, os.X_OK) or (folder / RECORD).exists()


def registered(models: Path) -> list[Path]:
    """The folders in `models` that amlcore wrote; anything else is the user's, such as a Python package `models`."""
    if models.is_symlink() and not any(models.glob("*.py")):
        return [models]
    return [*(path.parent for path in models.glob(f"*/*/{RECORD}")), *models.glob(f"*/{PREPARED}*")]


def named(models: Path) -> Iterator[Path]:
    """The folders whose names a model may have."""
    if models.is_dir():
        yield from (folder for folder in models.iterdir() if folder.is_dir() and not folder.name.startswith("."))


def find_folder(models: Path, reference: str) -> Path:
    """The folder of the model that NAME, NAME:VERSION or NAME:latest means.

    Raises
    ------
    NotFoundError
        There is no such model or version.
    """
    name, _, version = reference.partition(":")
    by_name = {folder.name: versions(folder) for folder in named(models)}
    registered = {folder: numbers for folder, numbers in by_name.items() if numbers}
    if name not in registered:
        raise NotFoundError(f"there is no model '{name}'; {suggest(name, registered)}")
    numbers = registered[name]
    if version in ("", "latest"):
        return models / name / str(numbers[-1])
    if not version.isdecimal() or int(version) not in numbers:
        raise NotFoundError(
            f"model '{name}' has no version '{version}'; available: latest, {', '.join(map(str, numbers))}"
        )
    return models / name / str(int(version))
