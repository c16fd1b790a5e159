"""The Explanation: one message for whatever Hydra or OmegaConf found wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from amlcore.config.files.key_locations import KeyLocations, first_undecodable_line
from amlcore.config.grammar.override_parser import dotted, parent_of
from amlcore.config.grammar.syntax_errors import explain_syntax
from amlcore.config.job import Job
from amlcore.config.schema_keys import keys_of, suggest_key
from amlcore.errors import AmlcoreError, ConfigError, suggest

if TYPE_CHECKING:
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

NAMED_KEY = re.compile(r"^([a-z_]+(?:\.[\w.-]+)?)(?:[=:]| is )")
APPENDED = re.compile(r"Could not append to config\. An item is already at '([^']*)'")
NOT_THERE = re.compile(r"Could not delete from config\. '([^']*)' does not exist")
NOT_OF_TYPE = re.compile(r"Value '(.*)' of type '\w+' could not be converted to (\w+)", re.DOTALL)
TYPES = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false", "String": "text"}
NOT_A_BOOLEAN = re.compile(r"Value '(.*)' is not a valid bool", re.DOTALL)
NOT_A_LIST = "is not a ListConfig"
NO_FILE = re.compile(r"In '([^']*)': Could not load '([^']*)'")
NO_PRIMARY = re.compile(r"primary config '([^']*)' must be a DictConfig")
NO_PACKAGE = re.compile(r"In '?(experiment/[\w./-]+)'?: Could not override '[^']*@experiment\.")
IN_FILE = re.compile(r"In '?([\w./-]+)'?: (.*)", re.DOTALL)
CHOSEN_TWICE = re.compile(r"Multiple values for ([\w/@.-]+)\. To override a value use")
NO_GROUP = re.compile(r"Could not override '([^']*)'\.\s*No match in the defaults list")


class Explainer:
    """Finds what a request got wrong and where it was written: on the command line, or in which line of which file."""

    def __init__(
        self, loader: Callable[[], ConfigLoaderImpl], overrides: list[str], root: Path, *, config_name: str = "config"
    ) -> None:
        self._loader = loader
        self.overrides = overrides
        self._root = root
        self._config_name = config_name
        self._locations = KeyLocations(loader, overrides, root, config_name=config_name)

    def of(self, error: Exception) -> ConfigError:
        """The error for the user that stands for one of Hydra or OmegaConf."""
        cause = _root_of(error)
        if isinstance(cause, yaml.YAMLError):
            return ConfigError(self._yaml_problem(cause))
        if isinstance(error, OverrideParseException):
            return ConfigError(explain_syntax(error))
        if isinstance(error, MissingConfigException):
            return self._no_option(error)
        if isinstance(cause, OmegaConfBaseException):
            return self._no_value(error, cause)
        return self._of_text(dotted(str(error)))

    def _of_text(self, text: str) -> ConfigError:
        """The error for one of Hydra that is told by its message alone."""
        if text.startswith(("Ambiguous value", "Sweep parameters")):
            return self._several(text.split("'")[1])
        if match := APPENDED.match(text):
            return ConfigError(f"{match[1]} is there already; change it by {match[1]}=VALUE, without the +")
        if match := NOT_THERE.match(text):
            return ConfigError(f"{match[1]}: there is no such key to remove")
        if match := NO_GROUP.match(text):
            return self._no_key(match[1])
        if match := NO_FILE.match(text):
            return self._no_file(*match.groups())
        if match := NO_PRIMARY.match(text):
            return ConfigError(f"{self._locations.file(match[1])}: must be a mapping of keys, not a list or a text")
        if match := NO_PACKAGE.match(text):
            return ConfigError(f"{self._locations.file(match[1])}: its first line must be `# @package _global_`")
        if match := CHOSEN_TWICE.search(text):
            return self._chosen_twice(match[1])
        match = IN_FILE.match(text)
        return ConfigError(" ".join((f"{self._locations.file(match[1])}: {match[2]}" if match else text).split()))

    def _several(self, given: str) -> ConfigError:
        """The error for several values, or a range, where one run was asked for."""
        key, _, values = given.partition("=")
        known = keys_of(Job)
        if "." not in key and key not in known:
            return ConfigError(f"{key}: there is no such key; {self._suggestion(key, known)}")
        if "(" in values:
            return ConfigError(f"{given}: a range of values; say `aml run -m` to search it")
        return ConfigError(
            f"{given}: several values; -m tries each; one text is {key}=\"'{values}'\", a list is {key}=[{values}]"
        )

    def of_any(self, error: Exception) -> ConfigError:
        """The error for what neither Hydra nor OmegaConf expected of a file."""
        said = _first_line(str(error))
        if isinstance(error, UnicodeDecodeError):
            for path in sorted((self._root / "conf").rglob("*.y*ml")):
                if (line := first_undecodable_line(path)) is not None:
                    return ConfigError(f"{self._locations.short(path)}:{line}: this is not UTF-8")
        if isinstance(error, UserWarning) and (match := IN_FILE.match(str(error))):
            return self._unclear(*match.groups())
        for override in self.overrides:
            group, _, option = override.partition("=")
            if option == "null" and (options := self._loader().get_group_options(group)):
                return ConfigError(f"{override}: null is no option; {suggest(option, options)}")
        return ConfigError(f"{self._root / 'conf'} and the overrides do not compose: {type(error).__name__}: {said}")

    def of_null(self) -> ConfigError | None:
        """The error for an override inside a group that is none; Hydra only asserts there."""
        for override in self.overrides:
            *parents, _ = override.lstrip("+~").partition("=")[0].split(".")
            for depth in range(1, len(parents) + 1):
                group = "/".join(parents[:depth])
                if any(item.startswith(f"{group}=") and item != f"{group}=none" for item in self.overrides):
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
        known = keys_of(OmegaConf.get_type(node))
        return ConfigError(f"{key}: there is no such key{self._locations.where(key)}; {suggest(name, known)}")

    def of_experiment(self, chosen: str | None, value: Any) -> ConfigError:
        """The error for values that landed under the key `experiment`, where nothing reads them."""
        given = next((item for item in self.overrides if item.lstrip("+").startswith("experiment.")), None)
        if chosen in (None, "null") or given is not None:
            written = given or f"experiment: {value}"
            place = "" if given is not None else f" ({self._locations.file(self._config_name)})"
            return ConfigError(
                f"{written}{place}: experiment is a group of whole jobs, not a key; choose one with experiment=NAME, "
                "or in the defaults list"
            )
        return ConfigError(
            f"{self._locations.file(f'experiment/{chosen}')}: its first line must be `# @package _global_`; without it "
            f"{', '.join(map(str, value)) if isinstance(value, DictConfig) else value} would be ignored"
        )

    def of_unset(self, key: str) -> ConfigError:
        """The error for a key that was left without a value."""
        if key == "compute.kind":
            return ConfigError("compute: this option has no type; begin it with `defaults: [local, _self_]`")
        return ConfigError(f"{key} is not set{self._locations.where(key)}; give it as {key}=VALUE")

    def located(self, error: AmlcoreError) -> AmlcoreError:
        """The same error, with the place where its key was written."""
        match = NAMED_KEY.match(str(error))
        return type(error)(f"{error}{self._locations.where(match[1])}") if match else error

    def _no_option(self, error: MissingConfigException) -> ConfigError:
        group, _, option = str(error.missing_cfg_file or "").rpartition("/")
        if str(error).startswith("Cannot find primary config"):
            known = [name for name in self._loader().get_group_options("") if not name.startswith("_")]
            return ConfigError(
                f"--config-name {self._config_name}: there is no conf/{self._config_name}.yaml; "
                f"{suggest(option, known)}"
            )
        if match := NO_FILE.match(str(error)):
            return self._no_file(*match.groups())
        if not error.options or not group:
            return ConfigError(_first_line(str(error)))
        name = group.removeprefix("/")
        return ConfigError(
            f"{name}={option}{self._locations.where(name)}: there is no such option; {suggest(option, error.options)}"
            f"{self._locations.elsewhere(name, option)}"
        )

    def _unclear(self, config_path: str, said: str) -> ConfigError:
        """The error for what Hydra only warns of."""
        file = self._locations.file(config_path)
        if "missing `_self_`" in said:
            return ConfigError(
                f"{file}: its defaults list has no `_self_`, the place at which its own keys are read; "
                "begin it with `defaults: [base, _self_, …]`, so that what is chosen after it counts"
            )
        return ConfigError(f"{file}: {' '.join(said.split())}")

    def _chosen_twice(self, group: str) -> ConfigError:
        """The error for a defaults list that chooses another option of a group without `override`."""
        for location, entry, option in self._locations.choices(group, everywhere=True):
            if "override" not in entry:
                return ConfigError(
                    f"{location}: `{entry}: {option}`: an option of {group} is chosen before; to replace it write "
                    f"`override {entry}: {option}`"
                )
        return ConfigError(f"{group}: the defaults lists choose several options; write `override {group}: NAME`")

    def _no_file(self, config_path: str, missing: str) -> ConfigError:
        top = f"; one at the top of conf/ is named /{Path(missing).name}" if "/" in missing else ""
        return ConfigError(
            f"{self._locations.file(config_path)}: its defaults name '{missing}', and conf/ has no such file{top}"
        )

    def _yaml_problem(self, error: Any) -> str:
        mark = getattr(error, "problem_mark", None)
        place = f"{self._locations.short(Path(mark.name))}:{mark.line + 1}: " if mark is not None else ""
        return f"{place}this is not YAML: {getattr(error, 'problem', None) or error}"

    def _no_key(self, key: str) -> ConfigError:
        groups = self._loader().list_groups("")
        known = [group for group in groups if group not in ("hydra", "schema")]
        if key in known:
            return ConfigError(
                f"{key}{self._locations.where(key)}: {self._locations.file(self._config_name)} leaves this group out; "
                "begin it with `defaults: [base, _self_, experiment: null]`"
            )
        hint = self._suggestion(key, known)
        return ConfigError(f"{key}{self._locations.where(key)}: there is no such group of options; {hint}")

    def _suggestion(self, key: str, names: list[str]) -> str:
        """The nearest of `names`, or how to give an argument of the script, which `key` looks like."""
        nearest = suggest(key, names)
        return nearest if nearest.startswith("did you mean") else f"{self._argument_hint(key)}{nearest}"

    def _argument_hint(self, key: str) -> str:
        typed = next((item for item in self.overrides if item.lstrip("+").startswith(f"{key}=")), None)
        if typed is None:
            return ""
        value = typed.partition("=")[2]
        plus = "" if self._has_argument(key, besides=typed) else "+"
        return f"for an argument of the script use {plus}script.arguments.{key}={value} or `-- --{key} {value}`; "

    def _has_argument(self, key: str, *, besides: str) -> bool:
        others = [item for item in self.overrides if item != besides]
        try:
            config = self._loader().load_configuration(self._config_name, others, run_mode=RunMode.RUN)
            return key in (config.script.arguments or {})
        except (HydraException, OmegaConfBaseException):
            return False

    def _no_value(self, error: Exception, cause: OmegaConfBaseException) -> ConfigError:
        key, kind = dotted(cause.full_key or ""), cause.object_type
        said = _first_line(str(cause))
        written = self._override_of(dotted(str(error)))
        if written is not None:
            asked = written.lstrip("+~").partition("=")[0]
            key = key if key.startswith(f"{asked}.") else asked
        elif match := re.match(r"In '([^']*)'", str(error)):
            key = _package_key(match[1], key)
            if match[1].startswith("experiment/") and key.startswith("experiment."):  # as `# @package _GLOBAL_` says
                return ConfigError(f"{self._locations.file(match[1])}: its first line must be `# @package _global_`")
        where = self._locations.where(key)
        if "nterpolation" in said:
            return ConfigError(f"{self._interpolation(said) or key or 'conf/'}: {said[:1].lower()}{said[1:]}")
        if said.startswith("Key "):
            if is_dataclass(kind):
                hint = suggest_key(key, kind) if "." in key else self._suggestion(key, keys_of(kind))
                return ConfigError(f"{key}: there is no such key{where}; {hint}")
            parent = parent_of(key)
            if parent == "experiment":
                return self.of_experiment(None, None)
            if not parent:
                return self._no_key(key)
            return ConfigError(f"{key}: there is no such key{where}; `+{key}=VALUE` adds it to {parent}")
        if NOT_A_LIST in said:
            return ConfigError(f"{key}: must be a list, such as {key}=[a,b]{where}")
        if match := NOT_A_BOOLEAN.match(str(cause)):
            return ConfigError(f"{key}={match[1]}: must be true or false{where}")
        group = key.replace(".", "/")
        if said.startswith("Invalid type assigned") and (options := self._loader().get_group_options(group)):
            value = next((item.partition("=")[2] for item in self.overrides if item.startswith(f"{key}=")), "")
            return ConfigError(f"{key}{where}: an option is chosen by {group}=NAME; {suggest(value, options)}")
        if match := NOT_OF_TYPE.match(str(cause)):
            return ConfigError(f"{key}={match[1]}: must be {TYPES.get(match[2], match[2])}{where}")
        wrong = (
            f"must not be null{_word_hint(key)}"
            if said.endswith("is not Optional")
            else f"{said[:1].lower()}{said[1:]}"
        )
        return ConfigError(f"{key or 'conf/'}: {wrong}{where}")

    def _override_of(self, said: str) -> str | None:
        for override in self.overrides:
            name = override.lstrip("+~").partition("=")[0]
            if f"'{name}'" in said or f"'{override}'" in said:
                return override
        return None

    def _interpolation(self, said: str) -> str | None:
        """The override that holds the interpolation which `said` is about."""
        names = re.findall(r"'([^']+)'", said)
        return next((item for item in self.overrides if any(f"${{{name}" in item for name in names)), None)


def _word_hint(key: str) -> str:
    is_text = key.startswith(("script.environment_variables.", "model.tags."))
    return "; the word itself is written 'null', in quotes" if is_text else ""


def _root_of(error: BaseException) -> BaseException | None:
    """The error of OmegaConf or of the YAML parser that `error` came from, if any."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, (OmegaConfBaseException, yaml.YAMLError)):
        seen = seen.__cause__ or seen.__context__
    return seen


def _package_key(config_path: str, key: str) -> str:
    """The whole key of one that a file of a group names without its package."""
    package = config_path.rpartition("/")[0].replace("/", ".")
    return f"{package}.{key}" if package and not key.startswith(f"{package}.") else key


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
