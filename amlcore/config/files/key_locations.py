"""The Places: where a key, an option or a config was written, on the command line or in which line of which file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

from amlcore.config.files.source import find_config
from amlcore.config.grammar.override_parser import parser

if TYPE_CHECKING:
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

SHIPPED = Path(__file__).parents[2] / "conf"


class KeyLocations:
    """Finds what was written in the overrides and files of one request."""

    def __init__(
        self, loader: Callable[[], ConfigLoaderImpl], overrides: list[str], root: Path, *, config_name: str
    ) -> None:
        self._loader = loader
        self._overrides = overrides
        self._root = root
        self._config_name = config_name

    def where(self, key: str) -> str:
        """Where `key` was last written, in brackets; empty where nobody wrote it."""
        for override in reversed(self._overrides):
            name = override.lstrip("+~").partition("=")[0].partition("@")[0]
            if name == key:
                return f" (on the command line: {override})"
        for path, line in (*self._lines(key), *self._choices(key)):
            return f" ({path}:{line})"
        return ""

    def _choices(self, group: str) -> Iterator[tuple[str, int]]:
        """The files and lines whose defaults lists choose an option of `group`, the config that was named first."""
        experiments = [item.partition("=")[2] for item in self._overrides if item.startswith("experiment=")]
        for config_path in (self._config_name, *(f"experiment/{name}" for name in experiments)):
            path = find_config(self._root / "conf", config_path)
            line = None if path is None else _line_of_choice(path, group)
            if path is not None and line is not None:
                yield self.short(path), line

    def _lines(self, key: str) -> Iterator[tuple[str, int]]:
        """The files and lines that set `key`, the one that counts first."""
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
        """The file that a config is read from, as a person names it."""
        sources = [Path(source.path) for source in self._loader().get_sources() if source.scheme() == "file"]
        found = (find_config(folder, config_path) for folder in sources)
        path = next((path for path in found if path is not None), None)
        return f"conf/{config_path}.yaml" if path is None else self.short(path)

    def elsewhere(self, group: str, option: str) -> str:
        """The file of a project that was perhaps meant, and lies where none is looked for."""
        wanted = option.removesuffix(".yaml").removesuffix(".yml").casefold()
        for path in sorted((self._root / "conf").rglob("*")):
            if path.stem.casefold() == wanted and path.is_file():
                return f"; {self.short(path)} is there, but what is read is conf/{group}/NAME.yaml"
        return ""


def _line_of(path: Path, keys: list[str]) -> int | None:
    node = yaml.compose(path.read_text(encoding="utf-8"))
    line = None
    while keys:
        if not isinstance(node, yaml.MappingNode):
            return None
        for name, value in node.value:
            parts = name.value.removeprefix("+").split(".")  # a search space may have dots in its keys
            if parts == keys[: len(parts)]:
                line, node, keys = name.start_mark.line + 1, value, keys[len(parts) :]
                break
        else:
            return None
    return line


def _line_of_choice(path: Path, group: str) -> int | None:
    """The line of a defaults list in which an option of `group` is chosen."""
    node = yaml.compose(path.read_text(encoding="utf-8"))
    for key, value in node.value if isinstance(node, yaml.MappingNode) else []:
        if key.value == "defaults" and isinstance(value, yaml.SequenceNode):
            for item in value.value:
                for name, _ in item.value if isinstance(item, yaml.MappingNode) else []:
                    if name.value.split(" ")[-1].partition("@")[0].lstrip("/") == group:
                        return int(name.start_mark.line) + 1
    return None


def first_undecodable_line(path: Path) -> int | None:
    """The first line of a file that is not UTF-8."""
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        return error.object.count(b"\n", 0, error.start) + 1
    return None
