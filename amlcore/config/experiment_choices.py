"""The options that an experiment chooses: they must win over those of the project's own config.yaml."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydra.core.default_element import ConfigDefault, GroupDefault

if TYPE_CHECKING:
    from hydra._internal.config_repository import IConfigRepository


def choices_of_experiment(repository: IConfigRepository, overrides: list[str], config_name: str) -> list[str]:
    """The options that the chosen experiment names and `overrides` do not, as overrides."""
    typed = {item.lstrip("+").partition("=")[0]: item.partition("=")[2] for item in overrides}
    if "~experiment" in typed:
        return []
    experiments = typed.get("experiment") or _experiment_of(repository, config_name)
    choices: dict[str, str] = {}
    for name in experiments.strip("[]").split(","):
        _add_choices(repository, f"experiment/{name.strip()}", choices, seen=set())
    return [f"{group}={option}" for group, option in choices.items() if group not in typed]


def _experiment_of(repository: IConfigRepository, config_name: str) -> str:
    """The experiment that a config chooses by itself."""
    loaded = repository.load_config(config_name)
    defaults = loaded.defaults_list or [] if loaded else []
    names = [str(item.value) for item in defaults if isinstance(item, GroupDefault) and item.group == "experiment"]
    return next((name for name in names if name != "None"), "")


def _add_choices(repository: IConfigRepository, path: str, choices: dict[str, str], *, seen: set[str]) -> None:
    """Add what an experiment's file chooses, then what the files it includes choose."""
    loaded = repository.load_config(path) if path not in seen and not path.endswith("/") else None
    seen.add(path)
    defaults = loaded.defaults_list or [] if loaded else []
    for item in defaults:
        if isinstance(item, GroupDefault) and item.override and isinstance(item.value, str):
            group = str(item.group).lstrip("/")
            if not group.startswith("hydra"):
                choices.setdefault(group, item.value)
    for item in defaults:
        if isinstance(item, ConfigDefault) and item.path is not None and item.path != "_self_":
            inner = item.path.lstrip("/") if item.path.startswith("/") else f"{path.rpartition('/')[0]}/{item.path}"
            _add_choices(repository, inner, choices, seen=seen)
