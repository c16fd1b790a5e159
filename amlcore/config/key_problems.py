"""KeyProblems: the errors for keys, groups and references of a request that are missing or cannot be set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any

from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from amlcore.config.files.key_locations import KeyLocations
from amlcore.config.grammar.override_parser import parent_of
from amlcore.config.job import Job
from amlcore.config.schema_keys import keys_of, suggest_key
from amlcore.errors import ConfigError, suggest

if TYPE_CHECKING:
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

IN_DEFAULTS = "_dummy_"  # Hydra's key for an option that is chosen by a reference


class KeyProblems:
    """Looks keys up in the schema, the groups and the overrides, and suggests what was meant."""

    def __init__(
        self,
        loader: Callable[[], ConfigLoaderImpl],
        overrides: list[str],
        locations: KeyLocations,
        *,
        config_name: str,
    ) -> None:
        self._loader = loader
        self._overrides = overrides
        self._locations = locations
        self._config_name = config_name

    def several_values_error(self, override: str) -> ConfigError:
        """The error for several values, or a range, where one run was asked for."""
        key, _, values = override.partition("=")
        keys = keys_of(Job)
        if "." not in key and key not in keys:
            return ConfigError(f"{key}: no such key; {self._suggestion(key, keys)}")
        if "(" in values:
            return ConfigError(f"{override}: a range needs `aml run -m`, which searches it")
        return ConfigError(
            f"{override}: several values need `aml run -m`, which tries each; for one text use {key}=\"'{values}'\", "
            f"for a list {key}=[{values}]"
        )

    def none_group_error(self) -> ConfigError | None:
        """The error for an override of a key in a group that is none; Hydra 1.3 only asserts there."""
        for override in self._overrides:
            *parents, _ = override.lstrip("+~").partition("=")[0].split(".")
            for depth in range(1, len(parents) + 1):
                group = "/".join(parents[:depth])
                if any(item.startswith(f"{group}=") and item != f"{group}=none" for item in self._overrides):
                    continue
                options = [name for name in self._loader().get_group_options(group) if name != "none"]
                if options:
                    choice = " or ".join(f"{group}={name}" for name in options)
                    return ConfigError(f"{override}: {'.'.join(parents[:depth])} is none; add {choice}")
        return None

    def unknown_key_error(self, config: DictConfig, key: str) -> ConfigError:
        """The error for a key that the schema does not have."""
        parent, _, name = key.rpartition(".")
        node = OmegaConf.select(config, parent) if parent else config
        keys = keys_of(OmegaConf.get_type(node))
        return ConfigError(f"{key}: no such key{self._locations.where(key)}; {suggest(name, keys)}")

    def experiment_key_error(self, choice: str | None, value: Any) -> ConfigError:
        """The error for values under the key `experiment`, which nothing reads."""
        override = next((item for item in self._overrides if item.lstrip("+").startswith("experiment.")), None)
        if choice in (None, "null") or override is not None:
            place = "" if override is not None else f" ({self._locations.file(self._config_name)})"
            return ConfigError(
                f"{override or f'experiment: {value}'}{place}: experiment is a group of whole jobs, not a key; choose "
                "one with experiment=NAME, or in the defaults list"
            )
        keys = ", ".join(map(str, value)) if isinstance(value, DictConfig) else value
        return ConfigError(
            f"{self._locations.file(f'experiment/{choice}')}: its first line must be `# @package _global_`; without "
            f"it {keys} would be ignored"
        )

    def unset_key_error(self, key: str) -> ConfigError:
        """The error for a key that was left without a value."""
        if key == "compute.kind":
            return ConfigError("compute: this option does not name its type; begin it with `defaults: [local, _self_]`")
        return ConfigError(f"{key} is not set{self._locations.where(key)}; use {key}=VALUE")

    def missing_group_error(self, key: str) -> ConfigError:
        groups = self._loader().list_groups("")
        names = [group for group in groups if group not in ("hydra", "schema")]
        if key in names:
            return ConfigError(
                f"{key}{self._locations.where(key)}: {self._locations.file(self._config_name)} leaves this group out; "
                "begin it with `defaults: [base, _self_, experiment: null]`"
            )
        hint = self._suggestion(key, names)
        return ConfigError(f"{key}{self._locations.where(key)}: no such group of options; {hint}")

    def _suggestion(self, key: str, names: list[str]) -> str:
        """The nearest of `names`, or how to give an argument of the script, which `key` looks like."""
        nearest = suggest(key, names)
        return nearest if nearest.startswith("did you mean") else f"{self._argument_hint(key)}{nearest}"

    def _argument_hint(self, key: str) -> str:
        typed = next((item for item in self._overrides if item.lstrip("+").startswith(f"{key}=")), None)
        if typed is None:
            return ""
        value = typed.partition("=")[2]
        plus = "" if self._has_argument(key, besides=typed) else "+"
        return f"for an argument of the script use {plus}script.arguments.{key}={value} or `-- --{key} {value}`; "

    def _has_argument(self, key: str, *, besides: str) -> bool:
        others = [item for item in self._overrides if item != besides]
        try:
            config = self._loader().load_configuration(self._config_name, others, run_mode=RunMode.RUN)
            return key in (config.script.arguments or {})
        except (HydraException, OmegaConfBaseException):
            return False

    def missing_key_error(self, key: str, noun: Any) -> ConfigError:
        where, parent = self._locations.where(key), parent_of(key)
        if is_dataclass(noun):
            hint = suggest_key(key, noun) if "." in key else self._suggestion(key, keys_of(noun))
            return ConfigError(f"{key}: no such key{where}; {hint}")
        if parent == "experiment":
            return self.experiment_key_error(None, None)
        if not parent:
            return self.missing_group_error(key)
        return ConfigError(f"{key}: no such key{where}; `+{key}=VALUE` adds it to {parent}")

    def reference_error(self, key: str, problem: str) -> ConfigError:
        if key != IN_DEFAULTS:
            return ConfigError(f"{key or 'conf/'}: {problem}{self._locations.where(key)}")
        groups = (name for item in self._overrides for name, _, option in [item.partition("=")] if "${" in option)
        group = next((name for name in groups if self._loader().get_group_options(name)), None)
        return ConfigError(f"{group or 'the defaults list'}: {problem}{self._locations.where(group) if group else ''}")
