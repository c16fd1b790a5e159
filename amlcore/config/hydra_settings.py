"""Settings of Hydra that amlcore does not use: Hydra composes, and nothing else."""

from __future__ import annotations

from typing import Any

from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from amlcore.errors import ConfigError

OWN_FOLDER = "each run has a folder of its own, outputs/EXPERIMENT/RUN"
USE_ENVIRONMENT_VARIABLES = "use script.environment_variables"
BASE_VALUES: dict[str, tuple[tuple[Any, ...], str]] = {
    "mode": ((None, RunMode.RUN, "RUN"), "amlcore runs sweeps itself; use `aml run -m` or sweep=grid"),
    "sweeper.params": ((None,), "use sweep.search_space"),
    "job.chdir": ((None, False), "each run works in a copy of script.source_directory"),
    "job.env_set": (({},), USE_ENVIRONMENT_VARIABLES),
    "job.env_copy": (([],), USE_ENVIRONMENT_VARIABLES),
    "run.dir": ((".",), OWN_FOLDER),
    "sweep.dir": ((".",), OWN_FOLDER),
    "sweep.subdir": ((".",), OWN_FOLDER),
    "output_subdir": ((None,), "the composed config is stored with the run, in config.yaml"),
    "callbacks": (({}, None), "amlcore does not call any"),
}
"""The values of the shipped base and of Hydra itself, and what to use instead of others."""
CHOICES = {
    "hydra/launcher": "use compute=NAME to choose where runs are executed",
    "hydra/sweeper": "use sweep=NAME to choose how a space is searched",
}


def check_hydra_settings(hydra: DictConfig) -> None:
    """Refuse settings of Hydra that would be silently ignored."""
    plain: Any = OmegaConf.to_container(hydra, resolve=False)
    for group, instead in CHOICES.items():
        choice = plain["runtime"]["choices"].get(group, "basic")
        if choice not in ("basic", None):
            raise ConfigError(f"{group}={choice}: not used by amlcore; {instead}")
    for key, (neutral, instead) in BASE_VALUES.items():
        value = plain
        for part in key.split("."):
            value = value[part]
        if value not in neutral:
            shown = value.name if isinstance(value, RunMode) else value
            raise ConfigError(f"hydra.{key}={shown}: not used by amlcore; {instead}")
