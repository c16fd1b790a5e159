"""The Input: a file or folder that a script reads, and the hash of its content."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amlcore.errors import ConfigError, RequestError, must_be
from amlcore.script.arguments import as_path
from amlcore.worker.hashes import file_sha256
from amlcore.worker.layout import input_variable
from amlcore.worker.process.inputs import UnreadableInputError, is_folder, walk

INPUT_MODES = ("in_place", "copy")
INPUT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass
class Input:
    """A file or folder that a script reads.

    Parameters
    ----------
    path : str
        Where it is now.
    mode : str
        `in_place`: the script reads it where it is; `copy`: it reads its own copy.
    """

    path: str
    mode: str = "in_place"

    def __post_init__(self) -> None:
        self.path = as_path("script.inputs", self.path)
        if self.mode not in INPUT_MODES:
            raise ConfigError(f"script.inputs: mode '{self.mode}': {must_be(self.mode, INPUT_MODES)}")

    def digest(self) -> tuple[str, int]:
        """The sha256 of the content (of a folder: of its names and contents, links followed) and its size in bytes.

        Raises
        ------
        RequestError
            Something in it is neither a file nor a folder, is a broken or circular link, or cannot be read.
        """
        path = Path(self.path)
        try:
            return _folder_digest(path) if is_folder(self.path) else (file_sha256(path), path.stat().st_size)
        except UnreadableInputError as error:
            raise RequestError(f"script.inputs: {error}") from None
        except OSError as error:
            raise RequestError(f"script.inputs: {error.filename} cannot be read ({error.strerror})") from None


def check_input_names(names: Iterable[str]) -> None:
    """Refuse a name that is not safe in a path, or that shares its environment variable with another."""
    owners: dict[str, str] = {}
    for name in names:
        if not INPUT_NAME.fullmatch(str(name)):
            raise ConfigError(f"script.inputs.{name}: use letters, digits, '_' and '-', starting with a letter")
        other = owners.setdefault(input_variable(name), name)
        if other != name:
            raise ConfigError(f"script.inputs: {other} and {name} share the variable {input_variable(name)}")


def as_input(name: str, value: Any) -> Input:
    if isinstance(value, (str, os.PathLike)):
        value = Input(os.fspath(value))
    elif isinstance(value, Mapping) and "path" in value and set(value) <= {"path", "mode"}:
        value = Input(**value)
    if not isinstance(value, Input) or not value.path:
        shown = "''" if isinstance(value, Input) else repr(value)
        raise ConfigError(f"script.inputs.{name}={shown}: give a path, or {{path: …, mode: in_place|copy}}")
    return value


def _folder_digest(folder: Path) -> tuple[str, int]:
    whole, size = hashlib.sha256(), 0
    for parent, names in walk(str(folder)):
        for file in (Path(parent, name) for name in names):
            relative = file.relative_to(folder).as_posix()
            whole.update(f"{relative}\0{file_sha256(file)}\n".encode(errors="surrogateescape"))
            size += file.stat().st_size
    return whole.hexdigest(), size
