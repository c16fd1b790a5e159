"""Key locations: where a key, an option or a config was written, on the command line or in a line of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

from amlcore.config.files.yaml_source import find_config
from amlcore.config.grammar.override_parser import parser
from amlcore.config.wrong_values import misshapen_key

if TYPE_CHECKING:
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

SHIPPED = Path(__file__).parents[2] / "conf"


class KeyLocations:
    """Finds keys in the overrides and files of one request."""

    def __init__(
        self, loader: Callable[[], ConfigLoaderImpl], overrides: list[str], root: Path, *, config_name: str
    ) -> None:
        self._loader = loader
        self._overrides = overrides
        self._root = root
        self._config_name = config_name

    def where(self, key: str) -> str:
        """Where `key` was last set, in brackets; empty if nobody set it."""
        for override in reversed(self._overrides):
            name = override.lstrip("+~").partition("=")[0].partition("@")[0]
            if name == key:
                return f" (on the command line: {override})"
        for path, line in self._lines(key):
            return f" ({path}:{line})"
        for location, _, _ in self.choices(key):
            return f" ({location})"
        return ""

    def choices(self, group: str, *, everywhere: bool = False) -> Iterator[tuple[str, str, str]]:
        """Where the project's defaults lists choose an option of `group`: file and line, the entry, and the option.

        The config that was named comes first, then the experiments, then, if asked for, every other file of conf/.
        """
        conf = self._root / "conf"
        experiments = [item.partition("=")[2] for item in self._overrides if item.startswith("experiment=")]
        named = [self._config_name, *(f"experiment/{name}" for name in experiments)]
        files = [file for name in named if (file := find_config(conf, name)) is not None]
        files += sorted(conf.rglob("*.y*ml")) if everywhere else []
        for path in dict.fromkeys(files):
            for line, entry, option in _choices_in(path, group):
                yield f"{self.short(path)}:{line}", entry, option

    def _lines(self, key: str) -> Iterator[tuple[str, int]]:
        """The files and lines that set `key`, the one that takes effect first."""
        loader = self._loader()
        try:
            parsed = parser(loader).parse_overrides(self._overrides)
            listed = loader.compute_defaults_list(
                self._config_name, [item.input_line or "" for item in parsed], RunMode.RUN
            )
        except (HydraException, OmegaConfBaseException):
            return
        folders = [source.path for source in loader.get_sources() if source.scheme() == "file"]
        for default in reversed(listed.defaults):
            package = default.package or ""
            inner = key.removeprefix(f"{package}.") if package and key.startswith(f"{package}.") else key
            if default.config_path is None or (package and inner == key):
                continue
            for folder in folders:
                path = find_config(Path(folder), default.config_path)
                if path is not None:
                    line = _line_of(path, inner.split("."))
                    if line is not None:
                        yield self.short(path), line
                    break

    def short(self, path: Path) -> str:
        if path.is_relative_to(self._root):
            return str(path.relative_to(self._root))
        return f"amlcore's own {path.relative_to(SHIPPED.parent)}" if path.is_relative_to(SHIPPED) else str(path)

    def file(self, config_path: str) -> str:
        """The file that a config is read from, as a user names it."""
        path = self._path(config_path)
        return f"conf/{config_path}.yaml" if path is None else self.short(path)

    def _path(self, config_path: str) -> Path | None:
        sources = [Path(source.path) for source in self._loader().get_sources() if source.scheme() == "file"]
        files = (find_config(folder, config_path) for folder in sources)
        return next((file for file in files if file is not None), None)

    def misshapen_key(self, config_path: str) -> str | None:
        """The first key of a config whose value is a list, a mapping or a single value where it may not be one."""
        path = self._path(config_path)
        group = [] if config_path.startswith("experiment/") else config_path.split("/")[:-1]
        return None if path is None else misshapen_key(yaml.safe_load(path.read_text(encoding="utf-8")), tuple(group))

    def elsewhere(self, group: str, option: str) -> str:
        """The end of a message: a file of the project that was perhaps meant, in a folder that is not searched."""
        name = option.removesuffix(".yaml").removesuffix(".yml").casefold()
        for path in sorted((self._root / "conf").rglob("*")):
            if path.stem.casefold() == name and path.is_file():
                return f"; {self.short(path)} exists, but options are read from conf/{group}/NAME.yaml"
        return ""


def _line_of(path: Path, keys: list[str]) -> int | None:
    node = yaml.compose(path.read_text(encoding="utf-8"))
    line = None
    while keys:
        if not isinstance(node, yaml.MappingNode):
            return None
        for name, value in node.value:
            parts = name.value.removeprefix("+").split(".")  # keys of a search space may contain dots
            if parts == keys[: len(parts)]:
                line, node, keys = name.start_mark.line + 1, value, keys[len(parts) :]
                break
        else:
            return None
    return line


def _choices_in(path: Path, group: str) -> Iterator[tuple[int, str, str]]:
    """The lines of a defaults list that choose an option of `group`, with the entry and the option."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return
    for key, value in node.value if isinstance(node, yaml.MappingNode) else []:
        if key.value != "defaults" or not isinstance(value, yaml.SequenceNode):
            continue
        for item in value.value:
            for name, option in item.value if isinstance(item, yaml.MappingNode) else []:
                if name.value.split(" ")[-1].partition("@")[0].lstrip("/") == group:
                    yield name.start_mark.line + 1, name.value, str(option.value)


def first_undecodable_line(path: Path) -> int | None:
    """The first line of a file that is not UTF-8."""
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        return error.object.count(b"\n", 0, error.start) + 1
    return None
