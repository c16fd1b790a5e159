"""The YAML files of conf/ as Hydra reads them: each file takes effect or is refused by name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from copy import deepcopy
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.core_plugins.importlib_resources_config_source import ImportlibResourcesConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult
from omegaconf import OmegaConf

from amlcore.config.files.yaml_reader import load
from amlcore.errors import ConfigError

ENDINGS = (".yaml", ".yml")
NOT_OPTIONS = ("_amlcore_common", "__pycache__")  # the first is what the shipped options of sweep= share
HEADER = re.compile(r"#+\s*@package\b[\s:]*(\S*)\s*(.*)")
ABOVE_THE_KEYS = ("#", "---", "%")

Document = tuple[str | None, dict[Any, Any] | list[Any]]  # the package that the header names, and the keys

_DOCUMENTS: ContextVar[dict[Path, Document]] = ContextVar("documents")
_PACKAGED: ContextVar[dict[tuple[str, str], ConfigResult]] = ContextVar("packaged")


class YamlSource(FileConfigSource):
    """Hydra's folder of files, but with `.yml` as well as `.yaml`, and a package header also below a comment."""

    def load_config(self, config_path: str) -> ConfigResult:
        file = self._file(config_path)
        if file is None:
            raise ConfigLoadError(f"Config not found : {config_path}")
        documents = _DOCUMENTS.get()
        if file not in documents:
            documents[file] = self._read(file, config_path)
        package, value = documents[file]
        return ConfigResult(
            config=OmegaConf.create(value),
            path=f"{self.scheme()}://{self.path}",
            provider=self.provider,
            header={"package": package},
        )

    def _read(self, file: Path, config_path: str) -> Document:
        with file.open(encoding="utf-8") as stream:
            package = _package(stream.read(), name=str(Path("conf", file.relative_to(self.path))))
            stream.seek(0)
            return package, load(stream, package=_path_of_keys(config_path, package))

    def is_config(self, config_path: str) -> bool:
        return self._file(config_path) is not None

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """The options and groups of a folder, without what is neither."""
        names = set()
        for entry in os.scandir(os.path.join(self.path, config_path)):
            stem, ending = os.path.splitext(entry.name)
            if stem in NOT_OPTIONS:
                continue
            if ending in ENDINGS and entry.is_file() and results_filter in (None, ObjectType.CONFIG):
                names.add(stem)
            elif entry.is_dir() and results_filter in (None, ObjectType.GROUP):
                names.add(entry.name)
        return sorted(names)

    def _file(self, config_path: str) -> Path | None:
        return find_config(Path(self.path), config_path)


class PackagedFiles(ImportlibResourcesConfigSource):
    """Hydra's own configs, inside its package."""

    def load_config(self, config_path: str) -> ConfigResult:
        loaded, key = _PACKAGED.get(), (self.path, config_path)
        if key not in loaded:
            loaded[key] = super().load_config(config_path)
        return deepcopy(loaded[key])  # Hydra takes the defaults list out of it


def find_config(folder: Path, config_path: str) -> Path | None:
    """The file in `folder` that a config is read from; None if there is none."""
    stem, ending = os.path.splitext(config_path)
    if ending not in ENDINGS:
        stem = config_path
    for path in (folder / f"{stem}{ending}" for ending in ENDINGS):
        if path.is_file():
            return path
    return None


def _path_of_keys(config_path: str, package: str | None) -> tuple[str, ...]:
    """The path that the keys of a file are put at: by its header, otherwise by its group."""
    group, _, name = config_path.rpartition("/")
    target = (package or "_group_").replace("_group_", group.replace("/", ".")).replace("_name_", name)
    return () if target in ("", "_global_") else tuple(target.split("."))


@contextmanager
def yaml_sources() -> Iterator[None]:
    """Let Hydra read files by `YamlSource`, each once; other Hydra programs of this process keep Hydra's own source."""
    Plugins.instance()  # registers Hydra's own
    types = SourcesRegistry.instance().types
    hydras = dict(types)
    types.update(file=YamlSource, pkg=PackagedFiles)
    documents, packaged = _DOCUMENTS.set({}), _PACKAGED.set({})
    try:
        yield
    finally:
        _DOCUMENTS.reset(documents)
        _PACKAGED.reset(packaged)
        types.update(hydras)


def check_config_files(conf: Path, groups: list[str]) -> None:
    """Refuse what looks like a config in `conf` and its `groups` but would be ignored.

    Raises
    ------
    ConfigError
        An extension is in capitals, two files are the same option, or a file cannot be read.
    """
    for folder in (conf, *(conf / group for group in groups)):
        for parent, folders, names in os.walk(folder, onerror=_refuse):
            _check_names(Path(parent), [*folders, *names], conf=conf)
            if folder == conf:
                break


def _check_names(parent: Path, names: list[str], *, conf: Path) -> None:
    options: dict[str, str] = {}
    for name in sorted(names):
        stem, ending = os.path.splitext(name)
        if ending.lower() not in ENDINGS or name.startswith("."):
            continue
        path = parent / name
        shown = Path("conf", path.relative_to(conf))
        if ending not in ENDINGS:
            raise ConfigError(f"{shown}: only .yaml and .yml files are read; rename it to {stem}{ending.lower()}")
        if not path.is_file():
            what = "a folder" if path.is_dir() else "a link to a file that does not exist"
            raise ConfigError(f"{shown}: this is {what}, not a file")
        if stem in options:
            raise ConfigError(f"{shown}: {options[stem]} is there too, and only one of them can be read; remove one")
        options[stem] = name


def _refuse(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise ConfigError(f"{error.filename}: cannot be read: {error.strerror}")


def _package(text: str, *, name: str) -> str | None:
    """The package that the header of a file names; Hydra itself only reads the first lines."""
    header: str | None = None
    above = True
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        match = HEADER.match(line.strip() if above else line)
        if match is None:
            above = above and (not line.strip() or line.strip().startswith(ABOVE_THE_KEYS))
            continue
        package, rest = match.groups()
        if not above:
            raise ConfigError(f"{name}:{number}: `{line.strip()}` is only read above the first key; move it to line 1")
        if not package or (rest and not rest.startswith("#")) or header not in (None, package):
            raise ConfigError(f"{name}:{number}: `{line.strip()}`: must name one package, like `# @package _global_`")
        header = package
    return None if header == "_group_" else header  # Hydra's old word for the default
