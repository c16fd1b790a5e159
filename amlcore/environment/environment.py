"""The declared environment of a script."""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from amlcore.environment.build import BuiltEnvironment, build_current, build_specification
from amlcore.environment.cache_layout import check_cache_folder
from amlcore.environment.conda import read_conda
from amlcore.environment.file_discovery import candidate_files, discover_file
from amlcore.environment.interpreter import OLDEST, PythonRequest
from amlcore.environment.location import SourceLocation, location_of
from amlcore.environment.metadata import has_block, read_pyproject, read_script
from amlcore.environment.specification import Draft, Specification
from amlcore.errors import EnvironmentSpecError
from amlcore.log import Log

AUTO = "auto"
_KINDS = "requirements .txt or .in, pyproject .toml, a script .py with a PEP 723 block, conda .yml or .yaml"


@dataclass
class Environment:
    """Which Python and which packages a script runs with."""

    # Its name in runs and lists: letters, digits, '.', '_' and '-'.
    name: str
    # "3.11" or "3.6.2"; null: what the file says, else the interpreter that runs amlcore.
    python: str | None = None
    # requirements.txt, pyproject.toml, a script with PEP 723 metadata, or a conda YAML; from the workspace's root.
    file: str | None = None
    # Further requirements, as in a requirements file.
    packages: list[str] = field(default_factory=list)
    # True: use the interpreter that runs amlcore as it is; nothing is built.
    user_managed_dependencies: bool = False
    # More packages; each replaces the requirement of the same name in the file or in packages.
    add: list[str] = field(default_factory=list)
    # For environment=auto: the environment if neither the script nor a file next to it lists packages.
    otherwise: "Environment | None" = None
    # What environment=auto found; written by amlcore, so not a key that a user can set.
    chosen: str | None = field(default=None, metadata={"set_by_amlcore": True})

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", self.name):
            raise EnvironmentSpecError(
                f"environment.name={self.name}: use letters, digits, '.', '_' and '-', starting with a letter or digit"
            )
        # YAML and Hydra read an unquoted 3.10 as the number 3.1, and nobody means Python 3.1.
        if self.python is not None:
            self.python = "3.10" if str(self.python) == "3.1" else str(self.python)
            _check_python(self.python)
        _check_packages("packages", self.packages)
        _check_packages("add", self.add)
        self.file = None if self.file is None else os.fspath(self.file)
        values = {"python": self.python, "file": self.file, "packages": self.packages, "add": self.add}
        surplus = [f"environment.{key}" for key, value in values.items() if value]
        if self.user_managed_dependencies and surplus:
            raise EnvironmentSpecError(
                f"environment.user_managed_dependencies is true, so nothing is built; "
                f"remove {', '.join(surplus)}, or set it to false"
            )

    @classmethod
    def from_conda_specification(cls, name: str, file_path: str, python: str | None = None) -> "Environment":
        """The environment of a conda YAML; its packages are installed from the Python package index."""
        return cls(name, file=_from_here(file_path), python=python)

    @classmethod
    def from_pip_requirements(cls, name: str, file_path: str, python: str | None = None) -> "Environment":
        """The environment of a requirements file."""
        return cls(name, file=_from_here(file_path), python=python)

    def specify(self, root: Path) -> Specification:
        """Read the file and the packages; nothing is resolved yet.

        Raises
        ------
        EnvironmentSpecError
            The message contains the file and the line, or the key.
        """
        try:
            return self._specify(root.resolve())
        except EnvironmentSpecError as error:
            raise error if self.chosen is None else EnvironmentSpecError(f"{error}\nnote: {self.chosen}") from None

    def _specify(self, root: Path) -> Specification:
        draft = Draft(root)
        if self.chosen is not None:
            draft.notes.append(self.chosen)
        if self.file is not None:
            _read(root / self.file, draft=draft)
        for index, requirement in enumerate(self.packages):
            draft.take(requirement.strip(), location=SourceLocation(f"environment.packages[{index}]"), folder=root)
        draft.override([item.strip() for item in self.add], key="environment.add", folder=root)
        if self.python is not None:
            self._override_python(self.python, draft=draft)
        return draft.finished()

    def check_folder(self, cache: Path) -> None:
        """Raise EnvironmentSpecError if nothing can be built in the folder `cache`."""
        if not self.user_managed_dependencies:
            check_cache_folder(cache)

    def for_script(self, script: str | None, *, source: Path, root: Path) -> "Environment":
        """The environment of one script in the folder `source`; `environment=auto` depends on the script."""
        if self.otherwise is None:
            return self
        source, root = source.absolute(), root.absolute()
        start = (source / script).parent if script else source
        if self.file is not None or self.packages or self.user_managed_dependencies:
            unread = [location_of(path, root=root) for path in candidate_files(start, source)]
            key = "file" if self.file is not None else "packages" if self.packages else "user_managed_dependencies"
            note = f"environment.{key} is set; {unread[0]} is not read" if unread else None
            return replace(self, otherwise=None, chosen=note)
        if script and (source / script).is_file() and has_block(source / script):
            note = f"using the block `# /// script` of {script}"
            return self._reading(source / script, self.otherwise, name="script", note=note, root=root)
        path, lines = discover_file(source, start, root=root)
        if path is not None:
            return self._reading(path, self.otherwise, name="file", note="; ".join(lines), root=root)
        return replace(
            self.otherwise,
            name=self.otherwise.name if self.name == AUTO else self.name,
            python=self.python or self.otherwise.python,
            add=[*self.otherwise.add, *self.add],
            chosen="; ".join(lines) or None,
        )

    def _reading(self, path: Path, otherwise: "Environment", *, name: str, note: str, root: Path) -> "Environment":
        """This environment with the requirements of `path`."""
        file = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
        note = f"{note}; to ignore it, use environment={otherwise.name}"
        name = name if self.name == AUTO else self.name
        return replace(self, name=name, file=file, otherwise=None, chosen=note)

    def passes_over(self, script: Path, *, root: Path) -> bool:
        """Whether the script has a PEP 723 block that this environment does not read."""
        return not (self.file is not None and (root / self.file).resolve() == script.resolve()) and has_block(script)

    def build(self, *, root: Path, cache: Path, log: Log, upgrade: bool = False) -> BuiltEnvironment:
        """An interpreter with these packages: taken from the cache, else resolved and installed.

        Parameters
        ----------
        root: the workspace's root, to which `file` is relative.
        cache: the folder of built environments; created if needed.
        log: gets each line at once, those of the resolver and the installer included.
        upgrade: resolve again even if an earlier resolution is still valid.

        Raises
        ------
        EnvironmentSpecError
            The requirements are invalid; nothing was built.
        BuildError
            The message quotes the resolver or the installer.
        """
        if self.user_managed_dependencies:
            if upgrade:
                log(
                    f"note: nothing to upgrade: environment '{self.name}' is the interpreter that runs amlcore; "
                    f"`{sys.executable} -m pip install --upgrade PACKAGE` upgrades a package there"
                )
            return build_current(log=log)
        return build_specification(self.specify(root), name=self.name, cache=cache, log=log, upgrade=upgrade)

    def _override_python(self, version: str, *, draft: Draft) -> None:
        if draft.python is not None:
            draft.notes.append(
                f"python {version} (environment.python) overrides {draft.python.text} ({draft.python.where})"
            )
        draft.python = PythonRequest.version(version, text=f"python {version}", where="environment.python")


def _read(path: Path, *, draft: Draft) -> None:
    location = location_of(path, root=draft.root)
    match path.suffix.lower():
        case ".txt" | ".in":
            draft.read_requirements(path, location=location)
        case ".toml":
            read_pyproject(path, location=location, draft=draft)
        case ".py":
            read_script(path, location=location, draft=draft)
        case ".yml" | ".yaml":
            read_conda(path, location=location, draft=draft)
        case _:
            raise EnvironmentSpecError(f"environment.file={location}: must be one of: {_KINDS}")


def _check_python(version: str) -> None:
    if not re.fullmatch(r"3\.\d+(\.\d+)?", version) or tuple(map(int, version.split(".")[:2])) < OLDEST:
        raise EnvironmentSpecError(
            f"environment.python={version}: must be a version from {OLDEST[0]}.{OLDEST[1]} on, "
            "such as '3.11' or '3.6.2'"
        )


def _check_packages(key: str, packages: Any) -> None:
    if isinstance(packages, str) or not isinstance(packages, Sequence):
        raise EnvironmentSpecError(
            f"environment.{key}={packages!r}: must be a list of requirements, such as ['joblib==1.5.2']"
        )
    for one in packages:
        if not isinstance(one, str):
            raise EnvironmentSpecError(
                f"environment.{key}: each item must be a requirement such as 'joblib==1.5.2', not {one!r}"
            )


def _from_here(file_path: str) -> str:
    """Resolve a path from the working folder; one that does not exist there is relative to the workspace's root."""
    path = Path(file_path)
    return str(path.resolve() if path.exists() else path)
