"""Samplers: they choose the points of a sweep, by name."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from amlcore.errors import ConfigError, how_to_install
from amlcore.sweep.options import check_options

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

GRID = "grid"


@dataclass(frozen=True)
class SamplerKind:
    """One of Optuna's samplers as a sweep uses it."""

    name: str  # its class in optuna.samplers
    learns: bool  # whether it chooses by the results of trials
    multi_objective: bool = True  # whether it supports several metrics
    numbers: int = 0  # the numeric parameters that it needs at least
    options: tuple[tuple[str, Any], ...] = ()
    generation: str | None = None  # the trial attribute that holds the generation
    min_warm_start: int = 1  # the earlier trials that a warm start needs at least
    continues: bool = False  # whether one seed continues its sequence after a resume, instead of starting over
    module: str | None = None  # the module that it needs besides Optuna
    extra: str | None = None  # the extra of amlcore that installs it


QUIET = ("warn_independent_sampling", False)
NAMED = {
    GRID: SamplerKind("RandomSampler", learns=False),  # every point is enqueued; it never chooses one
    "random": SamplerKind("RandomSampler", learns=False),
    "sobol": SamplerKind(
        "QMCSampler",
        learns=False,
        options=(("qmc_type", "sobol"), ("scramble", True), ("warn_asynchronous_seeding", False), QUIET),
        continues=True,
    ),
    "tpe": SamplerKind("TPESampler", learns=True),
    "gp": SamplerKind("GPSampler", learns=True, options=(QUIET,), module="torch", extra="gp"),
    "cmaes": SamplerKind(
        "CmaEsSampler", learns=True, multi_objective=False, numbers=2, options=(QUIET,), min_warm_start=10
    ),
    "nsga2": SamplerKind("NSGAIISampler", learns=True, generation="NSGAIISampler:generation"),
}
BY_PATH = {f"optuna.samplers.{kind.name}": kind for name, kind in NAMED.items() if name != GRID} | {
    "optuna.samplers.NSGAIIISampler": SamplerKind("NSGAIIISampler", learns=True, generation="NSGAIIISampler:generation")
}
"""Without the samplers that end a study by themselves or need objects as arguments."""

SAMPLERS = NAMED | BY_PATH


def check_sampler(name: str) -> None:
    """Check that the module that the sampler needs is installed.

    Raises
    ------
    ConfigError
        It is not.
    """
    kind = SAMPLERS[name]
    if kind.module is not None and find_spec(kind.module) is None:
        raise ConfigError(
            f"sweep.sampler={name} needs {kind.module}, which is not installed here: {how_to_install(kind.extra or '')}"
        )


def make_sampler(
    name: str,
    *,
    seed: int | None,
    trial_count: int,
    options: dict[str, Any],
    warm_start: Sequence[FrozenTrial] = (),
    space: Mapping[str, BaseDistribution] | None = None,
) -> BaseSampler:
    """The sampler of a study that has `trial_count` trials already.

    Parameters
    ----------
    warm_start : sequence of FrozenTrial
        The trials of earlier sweeps; all samplers but CMA-ES read them from the study.
    space : mapping
        The parameters that every trial has; only Sobol needs it, the others learn it from the trials.

    Raises
    ------
    ConfigError
        The sampler does not take the options.
    """
    import optuna

    kind = SAMPLERS[name]
    arguments: dict[str, Any] = {**dict(kind.options), **options}
    if kind.min_warm_start > 1 and warm_start:
        arguments["source_trials"] = [_numbers_of(trial) for trial in warm_start]
    if name != GRID:
        arguments["seed"] = seed if kind.continues else _seed(seed, trial_count)
    sampler_class = getattr(optuna.samplers, kind.name)
    check_options("sweep.sampler_options", sampler_class, options)
    if kind.continues and space is not None:
        sampler_class = _with_whole_space(space)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna calls some samplers experimental
            sampler: BaseSampler = sampler_class(**arguments)
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"sweep.sampler_options={options}: sweep.sampler={name}: {error}") from None
    return sampler


def _with_whole_space(space: Mapping[str, BaseDistribution]) -> type[BaseSampler]:
    """Optuna's QMCSampler, which draws at random until a trial has completed unless it is told the space."""
    from optuna.samplers import QMCSampler

    class WholeSequence(QMCSampler):
        def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:  # noqa: ARG002
            return dict(space)

    return WholeSequence


def _numbers_of(trial: FrozenTrial) -> FrozenTrial:
    """The trial with only the parameters that CMA-ES searches."""
    from optuna.distributions import CategoricalDistribution

    numbers = copy(trial)
    numbers.distributions = {
        name: distribution
        for name, distribution in trial.distributions.items()
        if not isinstance(distribution, CategoricalDistribution) and not distribution.single()
    }
    numbers.params = {name: trial.params[name] for name in numbers.distributions}
    return numbers


def _seed(seed: int | None, trial_count: int) -> int | None:
    """The seed at first; after a resume one derived from it, or the first points would be repeated."""
    if seed is None or trial_count == 0:
        return seed
    import numpy as np

    return int(np.random.SeedSequence([seed, trial_count]).generate_state(1)[0])
