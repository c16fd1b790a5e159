"""The ScriptRunConfig: which script of which folder runs, with which arguments and inputs."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

from amlcore.compute import ComputeTarget
from amlcore.environment import Environment
from amlcore.environment.search_path import check_search_path
from amlcore.errors import ConfigError, RequestError, must_be, suggest
from amlcore.script.file import check_file
from amlcore.worker.hashes import file_sha256
from amlcore.worker.layout import input_variable
from amlcore.worker.module_file import MAIN, find_module
from amlcore.worker.process.inputs import UnreadableInputError, is_folder, walk
from amlcore.worker.references import missing
from amlcore.worker.values import shortest, text

INPUT_MODES = ("in_place", "copy")
INPUT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
INPUT_REFERENCE = re.compile(r"\$\{input:([^}]*)\}")


@dataclass
class Input:
    """A file or folder that a script reads.

    Parameters
    ----------
    path : str
        Where it lies now.
    mode : str
        `in_place`: the script reads it where it lies; `copy`: it reads a copy of its own.
    """

    path: str
    mode: str = "in_place"

    def __post_init__(self) -> None:
        self.path = _path("script.inputs", self.path)
        if self.mode not in INPUT_MODES:
            raise ConfigError(f"script.inputs: mode '{self.mode}': {must_be(self.mode, INPUT_MODES)}")

    def digest(self) -> tuple[str, int]:
        """The sha256 of the content (of a folder: of its names and contents, links followed) and its size in bytes.

        Raises
        ------
        RequestError
            Something in it is no file and no folder, leads nowhere or back to where it lies, or cannot be read.
        """
        path = Path(self.path)
        try:
            return _folder_digest(path) if is_folder(self.path) else (file_sha256(path), path.stat().st_size)
        except UnreadableInputError as error:
            raise RequestError(f"script.inputs: {error}") from None
        except OSError as error:
            raise RequestError(f"script.inputs: {error.filename} cannot be read ({error.strerror})") from None


@dataclass
class ScriptRunConfig:
    """A script as it is to be run; in Python, with its environment and compute target too (Azure ML's v1 form)."""

    source_directory: str = "."  # the folder of which a snapshot is taken
    script: str | None = None  # the script's path inside that folder
    arguments: Any = None  # {name: value}, or in YAML and Python a list as it stands on a command line
    inputs: dict[str, Any] = field(default_factory=dict)  # name: path, or name: {path, mode}
    environment_variables: dict[str, str] = field(default_factory=dict)  # set for the script

    # How v1 code says them; in YAML they are the groups `environment` and `compute`.
    environment: Environment | None = field(default=None, metadata={"omegaconf_ignore": True})
    compute_target: ComputeTarget | str | None = field(default=None, metadata={"omegaconf_ignore": True})

    module: str | None = None  # instead of script: the name of a module in that folder, run as by `python -m`

    def __post_init__(self) -> None:
        # Python hands over what YAML cannot hold: paths, NumPy's numbers, None for nothing.
        self.source_directory = _path("script.source_directory", self.source_directory or ".")
        self.script = None if self.script is None else _path("script.script", self.script)
        self.arguments = _plain(self.arguments)
        for word in self.command_line():
            if "\0" in word:
                raise ConfigError(f"script.arguments: {word!r} holds a NUL character, which no command line can")
        inputs = _mapping("script.inputs", self.inputs)
        _check_names(inputs)
        self.inputs = {name: _input(name, value) for name, value in inputs.items()}
        variables = _mapping("script.environment_variables", self.environment_variables)
        self.environment_variables = dict(_variable(name, value) for name, value in variables.items())

    @property
    def run_config(self) -> ScriptRunConfig:
        """Azure ML's v1 kept environment and target one level deeper; here they are the same object."""
        return self

    @property
    def target(self) -> ComputeTarget | str | None:
        return self.compute_target

    @target.setter
    def target(self, target: ComputeTarget | str | None) -> None:
        self.compute_target = target

    @property
    def name(self) -> str:
        if self.module is not None:
            return self.module.removesuffix(f".{MAIN}").rpartition(".")[2]
        return Path(self.script or "").stem

    @property
    def file(self) -> str | None:
        """The path, inside of the source, of the file that is run."""
        if self.module is None:
            return self.script or None
        found = find_module(self.source_directory, self.module)
        return self.module.replace(".", "/") + ".py" if found is None else found[1]

    @property
    def executed(self) -> str | None:
        """The module that is executed, which of a package is its `__main__`."""
        found = None if self.module is None else find_module(self.source_directory, self.module)
        return self.module if found is None else found[0]

    @property
    def parameters(self) -> dict[str, Any]:
        """The arguments by name; what stands alone on a command line is listed under `args`."""
        if isinstance(self.arguments, Mapping):
            return dict(self.arguments)
        return _parse(self.command_line())

    def command_line(self) -> list[str]:
        """The arguments as the script's `sys.argv[1:]`."""
        if self.arguments is None:
            return []
        if isinstance(self.arguments, Mapping):
            return [word for name, value in self.arguments.items() for word in _words(str(name), value)]
        if isinstance(self.arguments, (list, tuple)):
            return [_word("script.arguments", value) for value in self.arguments]
        raise ConfigError(
            f"script.arguments={self.arguments!r}: "
            "give a mapping ({kernel: linear}) or a list (['--kernel', 'linear'])"
        )

    def check(self) -> None:
        """Make sure that all which the run needs is there.

        Raises
        ------
        ConfigError, RequestError
            The script, its folder or an input is missing.
        """
        check_file(Path(self.source_directory), script=self.script, module=self.module)
        for name, value in self.environment_variables.items():
            check_search_path(name, value)
        for name, value in self.inputs.items():
            if not Path(value.path).exists():
                raise RequestError(f"script.inputs.{name}={value.path}: no such file or folder")
        for name, variable in self.environment_variables.items():
            check_references(f"script.environment_variables.{name}", variable)
        for word in self.command_line():
            check_references("script.arguments", word)
            _check_text(word)
            for name in INPUT_REFERENCE.findall(word):
                if name not in self.inputs:
                    raise ConfigError(
                        f"script.arguments: ${{input:{name}}}: no such input; {suggest(name, self.inputs)}"
                    )


def check_references(key: str, word: str) -> None:
    """Raises RequestError where `word` refers to an environment variable that is not set."""
    for name in missing(word):
        raise RequestError(f"{key}: {word}: the environment variable {name} is not set here")


def _check_text(word: str) -> None:
    try:
        word.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigError(
            f"script.arguments: {word!a} is not text in UTF-8, in which a run is recorded; rename what it means"
        ) from None


def _check_names(names: Iterable[str]) -> None:
    """Refuse a name that is no safe part of a path, or whose environment variable another one has."""
    taken: dict[str, str] = {}
    for name in names:
        if not INPUT_NAME.fullmatch(str(name)):
            raise ConfigError(f"script.inputs.{name}: use letters, digits, '_' and '-' in the name, a letter first")
        other = taken.setdefault(input_variable(name), name)
        if other != name:
            raise ConfigError(f"script.inputs: {other} and {name} would share the variable {input_variable(name)}")


def _input(name: str, value: Any) -> Input:
    if isinstance(value, Input):
        return value
    if isinstance(value, (str, os.PathLike)):
        return Input(os.fspath(value))
    if isinstance(value, Mapping) and "path" in value and set(value) <= {"path", "mode"}:
        return Input(**value)
    raise ConfigError(f"script.inputs.{name}={value!r}: give a path, or {{path: …, mode: in_place|copy}}")


def _path(key: str, value: Any) -> str:
    try:
        return os.fsdecode(value)
    except TypeError:
        raise ConfigError(f"{key}={value!r}: must be a path") from None


def _mapping(key: str, value: Any) -> Mapping[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key}={value!r}: must be a mapping, such as {{name: value}}")
    return value


def _variable(name: Any, value: Any) -> tuple[str, str]:
    """An environment variable as the system takes it."""
    if not isinstance(name, str) or not name or "=" in name or "\0" in name:
        raise ConfigError(
            f"script.environment_variables: {name!r} is no name of a variable; legal is text without '=' and NUL"
        )
    value = _plain(value)
    if value is None or isinstance(value, (dict, list)) or "\0" in str(value):
        raise ConfigError(f"script.environment_variables.{name}={value!r}: must be text without NUL")
    return name, str(value) if isinstance(value, bool) else text(value)


def _plain(value: Any) -> Any:
    """`value` in the types that YAML has."""
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)) or bool(getattr(value, "ndim", None)):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        return str(value)
    return None if value is None else shortest(value)


def _words(name: str, value: Any) -> Iterator[str]:
    flag = name if name.startswith("-") else f"--{name}"
    match value:
        case None | False:
            return
        case True:
            yield flag
        case Mapping():
            raise ConfigError(
                f"script.arguments.{name}={value!r}: an argument is text, a number, true, false or a list"
            )
        case list() | tuple():
            yield flag
            yield from (_word(f"script.arguments.{name}", item) for item in value)
        case float() if value == -math.inf and flag.startswith("--"):
            yield f"{flag}=-inf"  # alone, argparse takes it for a flag
        case _:
            yield flag
            yield text(value)


def _word(key: str, value: Any) -> str:
    """One word of a command line."""
    if isinstance(value, (Mapping, list, tuple)) or value is None:
        raise ConfigError(f"{key}: {value!r} in a list; each item is text or a number")
    return str(value) if isinstance(value, bool) else text(value)


def _parse(words: list[str]) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    name: str | None = None
    for word in words:
        if word.startswith("--") and len(word) > 2:
            name, equals, value = word[2:].partition("=")
            parameters[name] = value if equals else True
            name = None if equals else name
        elif name is not None:
            parameters[name] = word
            name = None
        else:
            parameters.setdefault("args", []).append(word)
    return parameters


def _folder_digest(folder: Path) -> tuple[str, int]:
    whole, size = hashlib.sha256(), 0
    for parent, names in walk(str(folder)):
        for file in (Path(parent, name) for name in names):
            relative = file.relative_to(folder).as_posix()
            whole.update(f"{relative}\0{file_sha256(file)}\n".encode(errors="surrogateescape"))
            size += file.stat().st_size
    return whole.hexdigest(), size
