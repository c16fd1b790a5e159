"""The only door to Hydra and OmegaConf."""

from amlcore.config.composition import (
    answer_hydra_flag,
    compose,
    compose_compute,
    compose_environment,
    compose_workspace,
    environment_options,
    quote_value,
)
from amlcore.config.job import Job
from amlcore.config.search import Search, compose_search

__all__ = [
    "Job",
    "Search",
    "answer_hydra_flag",
    "compose",
    "compose_compute",
    "compose_environment",
    "compose_search",
    "compose_workspace",
    "environment_options",
    "quote_value",
]
