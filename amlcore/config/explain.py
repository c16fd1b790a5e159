"""The Explanation: one message for whatever Hydra or OmegaConf found wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from amlcore.errors import AmlcoreError, ConfigError, legal

if TYPE_CHECKING:
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

SHIPPED = Path(__file__).parent.parent / "conf"
NAMED_KEY = re.compile(r"^([a-z_]+(?:\.[\w.-]+)?)(?:[=:]| is )")
APPENDED = re.compile(r"Could not append to config\. An item is already at '([^']*)'")
NOT_OF_TYPE = re.compile(r"Value '(.*)' of type '\w+' could not be converted to (\w+)", re.DOTALL)
TYPES = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false", "String": "text"}
NOT_A_BOOLEAN = re.compile(r"Value '(.*)' is not a valid bool", re.DOTALL)
NOT_A_LIST = "is not a ListConfig"
NO_FILE = re.compile(r"In '([^']*)': Could not load '([^']*)'")
NO_GROUP = re.compile(r"Could not override '([^']*)'\.\s*No match in the defaults list")


class Explanation:
    """Finds what a request got wrong and where it was written: on the command line, or in which line of which file."""

    def __init__(self, loader: Callable[[], ConfigLoaderImpl], overrides: list[str], root: Path) -> None:
        self._loader = loader
        self._overrides = overrides
        self._root = root

    def of(self, error: Exception) -> ConfigError:
        """The error for the user that stands for one of Hydra or OmegaConf."""
        cause = _root_of(error)
        if isinstance(cause, yaml.YAMLError):
            return ConfigError(_yaml_problem(cause))
        if isinstance(error, OverrideParseException):
            return ConfigError(_unreadable(error))
        if isinstance(error, MissingConfigException):
            return self._no_option(error)
        if isinstance(cause, OmegaConfBaseException):
            return self._no_value(error, cause)
        text = str(error)
        if text.startswith("Ambiguous value"):
            given = text.split("'")[1]
            key, _, values = given.partition("=")
            return ConfigError(
                f"{given}: several values; -m tries each; one text is {key}=\"'{values}'\", a list is {key}=[{values}]"
            )
        if match := APPENDED.match(text):
            return ConfigError(f"{match[1]} is there already; change it by {match[1]}=VALUE, without the +")
        if match := NO_GROUP.match(text):
            return self._no_key(match[1])
        if match := NO_FILE.match(text):
            return ConfigError(f"conf/{match[1]}.yaml: its defaults name '{match[2]}', and conf/ has no such file")
        return ConfigError(text.strip())

    def of_any(self, error: Exception) -> ConfigError:
        """The error for what neither Hydra nor OmegaConf expected of a file."""
        said = _first_line(str(error))
        if isinstance(error, UnicodeDecodeError):
            for path in sorted((self._root / "conf").rglob("*.yaml")):
                if (line := _line_of_no_text(path)) is not None:
                    return ConfigError(f"{self._short(path)}:{line}: this is not UTF-8")
        for override in self._overrides:
            group, _, option = override.partition("=")
            if option == "null" and (options := self._loader().get_group_options(group)):
                return ConfigError(f"{override}: null is no option; {legal(option, options)}")
        return ConfigError(f"{self._root / 'conf'} and the overrides do not compose: {type(error).__name__}: {said}")

    def of_null(self) -> ConfigError | None:
        """The error for an override inside a group that is none; Hydra only asserts there."""
        for override in self._overrides:
            *parents, _ = override.lstrip("+~").partition("=")[0].split(".")
            for depth in range(1, len(parents) + 1):
                group = "/".join(parents[:depth])
                if any(item.startswith(f"{group}=") and item != f"{group}=none" for item in self._overrides):
                    continue
                options = [name for name in self._loader().get_group_options(group) if name != "none"]
                if options:
                    choice = " or ".join(f"{group}={name}" for name in options)
                    return ConfigError(f"{override}: {'.'.join(parents[:depth])} is none here; choose {choice} as well")
        return None

    def of_unknown(self, config: DictConfig, key: str) -> ConfigError:
        """The error for a key that the schema does not have."""
        parent, _, name = key.rpartition(".")
        node = OmegaConf.select(config, parent) if parent else config
        known = _keys(OmegaConf.get_type(node))
        return ConfigError(f"{key}: there is no such key{self._where(key)}; {legal(name, known)}")

    def of_unset(self, key: str) -> ConfigError:
        """The error for a key that was left without a value."""
        if key == "compute.kind":
            return ConfigError("compute: this option has no type; begin it with `defaults: [local, _self_]`")
        return ConfigError(f"{key} is not set{self._where(key)}; give it as {key}=VALUE")

    def located(self, error: AmlcoreError) -> AmlcoreError:
        """The same error, with the place where its key was written."""
        match = NAMED_KEY.match(str(error))
        return type(error)(f"{error}{self._where(match[1])}") if match else error

    def _no_option(self, error: MissingConfigException) -> ConfigError:
        group, _, option = str(error.missing_cfg_file or "").rpartition("/")
        if not error.options or not group:
            return ConfigError(_first_line(str(error)))
        name = group.removeprefix("/")
        known = legal(option, error.options)
        return ConfigError(f"{name}={option}{self._where(name)}: there is no such option; {known}")

    def _no_key(self, key: str) -> ConfigError:
        groups = self._loader().list_groups("")
        known = [group for group in groups if group not in ("hydra", "schema")]
        if key in known:
            return ConfigError(
                f"{key}{self._where(key)}: conf/config.yaml leaves this group out; "
                "begin it with `defaults: [base, _self_, experiment: null]`"
            )
        return ConfigError(f"{key}{self._where(key)}: there is no such group of options; {legal(key, known)}")

    def _no_value(self, error: Exception, cause: OmegaConfBaseException) -> ConfigError:
        key, kind = cause.full_key or "", cause.object_type
        said = _first_line(str(cause))
        written = self._override_of(str(error))
        if written is not None:
            asked = written.lstrip("+~").partition("=")[0]
            key = key if key.startswith(f"{asked}.") else asked
        elif match := re.match(r"In '([^']*)'", str(error)):
            key = _package_key(match[1], key)
        where = self._where(key)
        if "nterpolation" in said:
            return ConfigError(f"{self._interpolation(said) or key or 'conf/'}: {said[:1].lower()}{said[1:]}")
        if said.startswith("Key "):
            if is_dataclass(kind):
                return ConfigError(
                    f"{key}: there is no such key{where}; {legal(_first_unknown(key, kind), _keys(kind))}"
                )
            parent = key.rpartition(".")[0]
            if not parent:
                return self._no_key(key)
            return ConfigError(f"{key}: there is no such key{where}; `+{key}=VALUE` adds it to {parent}")
        if NOT_A_LIST in said:
            return ConfigError(f"{key}: must be a list, such as {key}=[a,b]{where}")
        if match := NOT_A_BOOLEAN.match(str(cause)):
            return ConfigError(f"{key}={match[1]}: must be true or false{where}")
        group = key.replace(".", "/")
        if said.startswith("Invalid type assigned") and (options := self._loader().get_group_options(group)):
            value = next((item.partition("=")[2] for item in self._overrides if item.startswith(f"{key}=")), "")
            return ConfigError(f"{key}{where}: an option is chosen by {group}=NAME; {legal(value, options)}")
        if match := NOT_OF_TYPE.match(str(cause)):
            return ConfigError(f"{key}={match[1]}: must be {TYPES.get(match[2], match[2])}{where}")
        return ConfigError(f"{key or 'conf/'}: {said[:1].lower()}{said[1:]}{where}")

    def _override_of(self, said: str) -> str | None:
        for override in self._overrides:
            name = override.lstrip("+~").partition("=")[0]
            if f"'{name}'" in said or f"'{override}'" in said:
                return override
        return None

    def _interpolation(self, said: str) -> str | None:
        """The override that holds the interpolation which `said` is about."""
        names = re.findall(r"'([^']+)'", said)
        return next((item for item in self._overrides if any(f"${{{name}" in item for name in names)), None)

    def _where(self, key: str) -> str:
        """Where `key` was last written, in brackets; empty where nobody wrote it."""
        for override in reversed(self._overrides):
            name = override.lstrip("+~").partition("=")[0].partition("@")[0]
            if name == key:
                return f" (on the command line: {override})"
        for path, line in self._lines(key):
            return f" ({path}:{line})"
        return ""

    def _lines(self, key: str) -> Iterator[tuple[str, int]]:
        """The files and lines that set `key`, the one that counts first."""
        loader = self._loader()
        try:
            parsed = OverridesParser.create(config_loader=loader).parse_overrides(self._overrides)
            listed = loader.compute_defaults_list("config", [item.input_line or "" for item in parsed], RunMode.RUN)
        except (HydraException, OmegaConfBaseException):
            return
        folders = [source.path for source in loader.get_sources() if source.scheme() == "file"]
        for default in reversed(listed.defaults):
            package = default.package or ""
            inner = key.removeprefix(f"{package}.") if package and key.startswith(f"{package}.") else key
            if default.config_path is None or (package and inner == key):
                continue
            for folder in folders:
                path = Path(folder, f"{default.config_path}.yaml")
                if path.is_file():
                    line = _line_of(path, inner.split("."))
                    if line is not None:
                        yield self._short(path), line
                    break

    def _short(self, path: Path) -> str:
        if path.is_relative_to(self._root):
            return str(path.relative_to(self._root))
        return f"amlcore's own {path.relative_to(SHIPPED.parent)}" if path.is_relative_to(SHIPPED) else str(path)


def _root_of(error: BaseException) -> BaseException | None:
    """The error of OmegaConf or of the YAML parser that `error` came from, if any."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, (OmegaConfBaseException, yaml.YAMLError)):
        seen = seen.__cause__ or seen.__context__
    return seen


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


def _line_of_no_text(path: Path) -> int | None:
    """The first line of a file that is not UTF-8."""
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        return error.object.count(b"\n", 0, error.start) + 1
    return None


def _keys(kind: Any) -> list[str]:
    if not is_dataclass(kind):
        return []
    return [field.name for field in fields(kind) if not field.metadata.get("omegaconf_ignore")]


def _first_unknown(key: str, kind: Any) -> str:
    """The part of a dotted key at which it leaves the schema, if that is not its last one."""
    known, parts = set(_keys(kind)), key.split(".")
    return parts[-2] if len(parts) > 2 and parts[-1] not in known and parts[-2] not in known else parts[-1]


def _package_key(config_path: str, key: str) -> str:
    """The whole key of one that a file of a group names without its package."""
    package = config_path.rpartition("/")[0].replace("/", ".")
    return f"{package}.{key}" if package and not key.startswith(f"{package}.") else key


def _unreadable(error: OverrideParseException) -> str:
    """What is wrong with an override that Hydra's grammar does not know."""
    if re.match(r"[^=]*=\w+\(", error.override or ""):
        return (
            f"'{error.override}' on the command line cannot be read: a range is choice(a,b), range(1,10), "
            "interval(0,1), int(interval(1,9)) or tag(log,interval(0.1,10)); "
            "a text with brackets stands in quotes of its own, such as KEY=\"'f(x)'\""
        )
    said = re.sub(r"^\w*Exception: ", "", _first_line(error.message))
    why = "" if error.override in said else f" ({said})"
    return (
        f"'{error.override}' on the command line cannot be read{why}: a text with quotes, commas, brackets or spaces "
        "stands in quotes of its own, such as KEY=\"'a, b'\""
    )


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _yaml_problem(error: Any) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"{mark.name}:{mark.line + 1}: " if mark is not None else ""
    return f"{place}this is not YAML: {getattr(error, 'problem', None) or error}"
