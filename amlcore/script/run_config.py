"""The ScriptRunConfig: which script of which folder runs, with which arguments and inputs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amlcore.compute import ComputeTarget
from amlcore.environment import Environment
from amlcore.environment.search_path import check_search_path
from amlcore.errors import ConfigError, RequestError, suggest
from amlcore.script.arguments import (
    as_path,
    check_encodable,
    check_references,
    command_line,
    parse_command_line,
    plain_value,
)
from amlcore.script.file import check_file
from amlcore.script.inputs import as_input, check_input_names
from amlcore.worker.module_file import MAIN, find_module
from amlcore.worker.values import text

INPUT_REFERENCE = re.compile(r"\$\{input:([^}]*)\}")


@dataclass
class ScriptRunConfig:
    """How a script runs; in Python, with its environment and compute target too (Azure ML's v1 form)."""

    source_directory: str = "."  # the folder of which a snapshot is taken
    script: str | None = None  # the script's path inside that folder
    arguments: Any = None  # {name: value}, or in YAML and Python a list as it stands on a command line
    inputs: dict[str, Any] = field(default_factory=dict)  # name: path, or name: {path, mode}
    environment_variables: dict[str, str] = field(default_factory=dict)  # set for the script

    # As v1 code passes them; in YAML they are the groups `environment` and `compute`.
    environment: Environment | None = field(default=None, metadata={"omegaconf_ignore": True})
    compute_target: ComputeTarget | str | None = field(default=None, metadata={"omegaconf_ignore": True})

    module: str | None = None  # instead of script: the name of a module in that folder, run as by `python -m`
    mlflow: bool = True  # what the script logs through MLflow goes into its run; see docs/mlflow.md

    def __post_init__(self) -> None:
        # Python hands over what YAML cannot hold: paths, NumPy's numbers, None for nothing.
        self.source_directory = as_path("script.source_directory", self.source_directory or ".")
        self.script = None if self.script is None else as_path("script.script", self.script)
        self.arguments = plain_value(self.arguments)
        for argument in self.command_line():
            if "\0" in argument:
                raise ConfigError(f"script.arguments: {argument!r}: a command line cannot hold a NUL character")
        inputs = _mapping("script.inputs", self.inputs)
        check_input_names(inputs)
        self.inputs = {name: as_input(name, value) for name, value in inputs.items()}
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
        """The path, inside the source, of the file that runs."""
        if self.module is None:
            return self.script or None
        module_and_file = find_module(self.source_directory, self.module)
        return self.module.replace(".", "/") + ".py" if module_and_file is None else module_and_file[1]

    @property
    def executed(self) -> str | None:
        """The module that runs; of a package, its `__main__`."""
        module_and_file = None if self.module is None else find_module(self.source_directory, self.module)
        return self.module if module_and_file is None else module_and_file[0]

    @property
    def parameters(self) -> dict[str, Any]:
        """The arguments by name; positional ones are listed under `args`."""
        if isinstance(self.arguments, Mapping):
            return dict(self.arguments)
        return parse_command_line(self.command_line())

    def command_line(self) -> list[str]:
        """The arguments as the script's `sys.argv[1:]`."""
        return command_line(self.arguments)

    def check(self) -> None:
        """Check that everything the run needs is there.

        Raises
        ------
        ConfigError, RequestError
            The script, its folder, an input or an environment variable is missing.
        """
        check_file(Path(self.source_directory), script=self.script, module=self.module)
        for name, value in self.environment_variables.items():
            check_search_path(name, value)
        for name, value in self.inputs.items():
            if not Path(value.path).exists():
                raise RequestError(f"script.inputs.{name}={value.path}: no such file or folder")
        self.check_references()
        for argument in self.command_line():
            check_encodable(argument)
            for name in INPUT_REFERENCE.findall(argument):
                if name not in self.inputs:
                    raise ConfigError(
                        f"script.arguments: ${{input:{name}}}: no such input; {suggest(name, self.inputs)}"
                    )

    def check_references(self) -> None:
        """Raise RequestError if a variable or an argument refers to an environment variable that is not set here."""
        for name, variable in self.environment_variables.items():
            check_references(f"script.environment_variables.{name}", variable)
        for name, arguments in self._arguments():
            for argument in arguments:
                check_references(f"script.arguments.{name}" if name else "script.arguments", argument)

    def _arguments(self) -> Iterator[tuple[str, list[str]]]:
        """The words of each named argument; a list of arguments has no names."""
        if isinstance(self.arguments, Mapping):
            yield from ((str(name), command_line({name: value})) for name, value in self.arguments.items())
        else:
            yield "", self.command_line()


def _mapping(key: str, value: Any) -> Mapping[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key}={value!r}: must be a mapping, such as {{name: value}}")
    return value


def _variable(name: Any, value: Any) -> tuple[str, str]:
    """An environment variable as the system takes it."""
    if not isinstance(name, str) or not name or "=" in name or "\0" in name:
        raise ConfigError(f"script.environment_variables: {name!r} is not a valid name; use text without '=' and NUL")
    value = plain_value(value)
    if value is None or isinstance(value, (dict, list)) or "\0" in str(value):
        raise ConfigError(f"script.environment_variables.{name}={value!r}: must be text without NUL")
    return name, str(value) if isinstance(value, bool) else text(value)
