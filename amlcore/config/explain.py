"""The Explainer: one message for each error of Hydra or OmegaConf."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from amlcore.config.files.key_locations import KeyLocations, first_undecodable_line
from amlcore.config.grammar.override_parser import dotted
from amlcore.config.grammar.syntax_errors import explain_syntax
from amlcore.config.interpolations import IN_CHOICE, explain_interpolation
from amlcore.config.key_problems import IN_DEFAULTS, KeyProblems
from amlcore.config.wrong_values import explain_wrong_value, is_other_shape
from amlcore.errors import AmlcoreError, ConfigError, suggest

if TYPE_CHECKING:
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

NAMED_KEY = re.compile(r"^([a-z_]+(?:\.[\w.-]+)?)(?:[=:]| is )")
APPENDED = re.compile(r"Could not append to config\. An item is already at '([^']*)'")
NOT_THERE = re.compile(r"Could not delete from config\. '([^']*)' does not exist")
NO_FILE = re.compile(r"In '([^']*)': Could not load '([^']*)'")
NO_PRIMARY = re.compile(r"primary config '([^']*)' must be a DictConfig")
NO_PACKAGE = re.compile(
    r"In '?(experiment/[\w./-]+)'?: (?:Could not override|Invalid Defaults List override.* for) '[^']*@experiment\.",
    re.DOTALL,
)
IN_FILE = re.compile(r"In '?([\w./-]+)'?: (.*)", re.DOTALL)
CHOSEN_TWICE = re.compile(r"Multiple values for ([\w/@.-]+)\. To override a value use")
NO_GROUP = re.compile(r"Could not override '([^']*)'\.\s*No match in the defaults list")


class Explainer:
    """Finds what is wrong with a request, and where it was written: on the command line, or in a line of a file."""

    def __init__(
        self, loader: Callable[[], ConfigLoaderImpl], overrides: list[str], root: Path, *, config_name: str = "config"
    ) -> None:
        self._loader = loader
        self.overrides = overrides
        self._root = root
        self._config_name = config_name
        self._locations = KeyLocations(loader, overrides, root, config_name=config_name)
        self.keys = KeyProblems(loader, overrides, self._locations, config_name=config_name)

    def error_for(self, error: Exception) -> ConfigError:
        """The error to show in place of one of Hydra or OmegaConf."""
        cause = _root_of(error)
        if isinstance(cause, yaml.YAMLError):
            return ConfigError(self._yaml_problem(cause))
        if isinstance(error, OverrideParseException):
            return ConfigError(explain_syntax(error))
        if isinstance(error, MissingConfigException):
            return self._missing_option_error(error)
        if isinstance(cause, OmegaConfBaseException):
            return self._value_error(error, cause)
        return self._text_error(dotted(str(error)))

    def _text_error(self, text: str) -> ConfigError:
        """The error to show in place of one that Hydra only tells apart by its message."""
        if text.startswith(("Ambiguous value", "Sweep parameters")):
            return self.keys.several_values_error(text.split("'")[1])
        if match := APPENDED.match(text):
            return ConfigError(f"{match[1]} exists already; to change it use {match[1]}=VALUE, without the +")
        if match := NOT_THERE.match(text):
            return ConfigError(f"{match[1]}: no such key to remove")
        if match := NO_GROUP.match(text):
            return self.keys.missing_group_error(match[1])
        if match := NO_FILE.match(text):
            return self._missing_file_error(*match.groups())
        if match := NO_PRIMARY.match(text):
            return ConfigError(f"{self._locations.file(match[1])}: must be a mapping of keys, not a list or text")
        if match := NO_PACKAGE.match(text):
            return ConfigError(f"{self._locations.file(match[1])}: its first line must be `# @package _global_`")
        if match := IN_CHOICE.match(text):  # Hydra 1.4
            return self.keys.reference_error(IN_DEFAULTS, f"{match[1]}: here a reference must name another group")
        if match := CHOSEN_TWICE.search(text):
            return self._chosen_twice_error(match[1])
        match = IN_FILE.match(text)
        return ConfigError(" ".join((f"{self._locations.file(match[1])}: {match[2]}" if match else text).split()))

    def unexpected_error(self, error: Exception) -> ConfigError:
        """The error for whatever else a malformed file makes Hydra raise."""
        if isinstance(error, UnicodeDecodeError):
            for path in sorted((self._root / "conf").rglob("*.y*ml")):
                if (line := first_undecodable_line(path)) is not None:
                    return ConfigError(f"{self._locations.short(path)}:{line}: this is not valid UTF-8")
        if isinstance(error, UserWarning) and (match := IN_FILE.match(str(error))):
            return self._warning_error(*match.groups())
        for override in self.overrides:
            group, _, option = override.partition("=")
            if self._list_of_options(group) is not None:
                return ConfigError(f"{override}: {group} takes one option, not a list")
            if option == "null" and (options := self._loader().get_group_options(group)):
                return ConfigError(f"{override}: null is not an option; {suggest(option, options)}")
        message = f"{type(error).__name__}: {_first_line(str(error))}"
        return ConfigError(f"{self._root / 'conf'} cannot be composed with these overrides: {message}")

    def located(self, error: AmlcoreError) -> AmlcoreError:
        """The same error, with the place where its key was written."""
        match = NAMED_KEY.match(str(error))
        return type(error)(f"{error}{self._locations.where(match[1])}") if match else error

    def _missing_option_error(self, error: MissingConfigException) -> ConfigError:
        group, _, option = str(error.missing_cfg_file or "").rpartition("/")
        if str(error).startswith("Cannot find primary config"):
            names = self._loader().get_group_options("")
            name = self._config_name
            return ConfigError(f"--config-name {name}: there is no conf/{name}.yaml; {suggest(option, names)}")
        if match := NO_FILE.match(str(error)):
            return self._missing_file_error(*match.groups())
        if not error.options or not group:
            return ConfigError(_first_line(str(error)))
        name = group.removeprefix("/")
        return ConfigError(
            f"{name}={option}{self._locations.where(name)}: no such option; {suggest(option, error.options)}"
            f"{self._locations.elsewhere(name, option)}"
        )

    def _warning_error(self, config_path: str, message: str) -> ConfigError:
        """The error for what Hydra only warns of."""
        file = self._locations.file(config_path)
        if "missing `_self_`" in message:
            return ConfigError(
                f"{file}: its defaults list has no `_self_`, which says where the file's own keys come; begin it with "
                "`defaults: [base, _self_, …]`, so that later options override them"
            )
        return ConfigError(f"{file}: {' '.join(message.split())}")

    def _chosen_twice_error(self, group: str) -> ConfigError:
        """The error for a defaults list that chooses another option of a group without `override`."""
        for location, entry, option in self._locations.choices(group, everywhere=True):
            if "override" not in entry:
                return ConfigError(
                    f"{location}: `{entry}: {option}`: the defaults list has chosen an option of {group} already; "
                    f"to replace it use `override {entry}: {option}`"
                )
        return ConfigError(f"{group}: the defaults lists choose several options; use `override {group}: NAME`")

    def _missing_file_error(self, config_path: str, missing: str) -> ConfigError:
        group = Path(missing).parent.as_posix()
        if (override := self._list_of_options(group)) is not None:
            return ConfigError(f"{override}: {group} takes one option, not a list")
        top = f"; use /{Path(missing).name} for a file at the top of conf/" if "/" in missing else ""
        return ConfigError(
            f"{self._locations.file(config_path)}: its defaults list names '{missing}', which conf/ does not have{top}"
        )

    def _list_of_options(self, group: str) -> str | None:
        """The override that gives a group a list."""
        is_group = group != "" and "." not in group and self._loader().get_group_options(group)
        return next((item for item in self.overrides if is_group and item.startswith(f"{group}=[")), None)

    def _yaml_problem(self, error: Any) -> str:
        mark = getattr(error, "problem_mark", None)
        place = f"{self._locations.short(Path(mark.name))}:{mark.line + 1}: " if mark is not None else ""
        return f"{place}this is not YAML: {getattr(error, 'problem', None) or error}"

    def _value_error(self, error: Exception, cause: OmegaConfBaseException) -> ConfigError:
        key, message = dotted(cause.full_key or ""), _first_line(str(cause))
        override = self._override_of(dotted(str(error)))
        if override is not None:
            typed = override.lstrip("+~").partition("=")[0]
            key = key if key.startswith(f"{typed}.") else typed
        elif match := re.match(r"In '([^']*)'", str(error)):
            key = _package_key(match[1], key)
            if match[1].startswith("experiment/") and key.startswith("experiment."):  # as `# @package _GLOBAL_` says
                return ConfigError(f"{self._locations.file(match[1])}: its first line must be `# @package _global_`")
            if is_other_shape(message) and (misshapen := self._locations.misshapen_key(match[1])) is not None:
                place = self._locations.where(misshapen) if "." in misshapen else f" ({self._locations.file(match[1])})"
                return ConfigError(explain_wrong_value(misshapen, cause, where=place))
        if message.endswith("is None") and (null_error := self.keys.none_group_error()) is not None:  # Hydra 1.4
            return null_error
        if (problem := explain_interpolation(message)) is not None:
            return self.keys.reference_error(key, problem)
        if message.startswith("Key "):
            return self.keys.missing_key_error(key, cause.object_type)
        where, group = self._locations.where(key), key.replace(".", "/")
        if message.startswith("Invalid type assigned") and (options := self._loader().get_group_options(group)):
            option = next((item.partition("=")[2] for item in self.overrides if item.startswith(f"{key}=")), "")
            return ConfigError(f"{key}{where}: choose an option with {group}=NAME; {suggest(option, options)}")
        return ConfigError(explain_wrong_value(key, cause, where=where))

    def _override_of(self, message: str) -> str | None:
        for override in self.overrides:
            name = override.lstrip("+~").partition("=")[0]
            if f"'{name}'" in message or f"'{override}'" in message:
                return override
        return None


def _root_of(error: BaseException) -> BaseException | None:
    """The error of OmegaConf or of the YAML parser that `error` came from, if any."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, (OmegaConfBaseException, yaml.YAMLError)):
        cause = cause.__cause__ or cause.__context__
    return cause


def _package_key(config_path: str, key: str) -> str:
    """The whole key of one that a file of a group names without its package."""
    package = config_path.rpartition("/")[0].replace("/", ".")
    return f"{package}.{key}" if package and not key.startswith(f"{package}.") else key


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
