"""The only door to Hydra and OmegaConf."""

from amlcore.config.composition import (
    compose,
    compose_compute,
    compose_environment,
    compose_workspace,
    environment_options,
)
from amlcore.config.grammar.escaping import quote_value
from amlcore.config.hydra_flags import answer_hydra_flag
from amlcore.config.job import Job
from amlcore.config.search import Search
from amlcore.config.search_composition import compose_search

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
