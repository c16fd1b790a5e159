"""The folders of models: which names and versions lie in a workspace's models/."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from amlcore.errors import LeftOutWarning, NotFoundError, suggest

RECORD = "model.json"
PREPARED = ".tmp-"  # how the name of a folder begins that is to become a version


def versions(folder: Path) -> list[int]:
    """The versions of the model in `folder`, in order; what is still being prepared is none."""
    if not folder.is_dir():
        return []
    try:
        children = list(folder.iterdir())
    except PermissionError:
        warnings.warn(f"skipping the models in {folder}: permission denied", LeftOutWarning, stacklevel=2)
        return []
    return sorted(int(path.name) for path in children if path.name.isdecimal() and _holds_version(path))


def _holds_version(folder: Path) -> bool:
    """Whether a version lies in `folder`; one that may not be read has its number all the same."""
    return not os.access(folder, os.X_OK) or (folder / RECORD).exists()


def registered(models: Path) -> list[Path]:
    """The folders in `models` that are amlcore's own; whatever else lies there is the user's, as a package is."""
    if models.is_symlink() and not any(models.glob("*.py")):
        return [models]
    return [*(path.parent for path in models.glob(f"*/*/{RECORD}")), *models.glob(f"*/{PREPARED}*")]


def named(models: Path) -> Iterator[Path]:
    """The folders that are called as a model may be."""
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
