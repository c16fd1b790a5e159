"""Samplers: who chooses the points of a sweep, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from amlcore.errors import ConfigError

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

GRID = "grid"


@dataclass(frozen=True)
class SamplerKind:
    """One of Optuna's samplers as a sweep uses it."""

    name: str  # in optuna.samplers
    needs_metric: bool  # whether it learns from what the trials reach
    options: tuple[tuple[str, Any], ...] = ()
    continues: bool = False  # whether the same seed goes on where the study stands, instead of beginning again


SAMPLERS = {
    GRID: SamplerKind("RandomSampler", needs_metric=False),  # every point is given; it never chooses one
    "random": SamplerKind("RandomSampler", needs_metric=False),
    "sobol": SamplerKind(
        "QMCSampler",
        needs_metric=False,
        options=(
            ("qmc_type", "sobol"),
            ("scramble", True),
            ("warn_asynchronous_seeding", False),
            ("warn_independent_sampling", False),
        ),
        continues=True,
    ),
    "tpe": SamplerKind("TPESampler", needs_metric=True),
}


def make_sampler(name: str, *, seed: int | None, asked: int, options: dict[str, Any]) -> BaseSampler:
    """The sampler of a study in which `asked` trials have been asked for already.

    Raises
    ------
    ConfigError
        The sampler does not take the options.
    """
    import optuna

    kind = SAMPLERS[name]
    given: dict[str, Any] = {**dict(kind.options), **options}
    if name != GRID:
        given["seed"] = seed if kind.continues else _seed(seed, asked)
    try:
        sampler: BaseSampler = getattr(optuna.samplers, kind.name)(**given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"sweep.sampler_options={options}: sweep.sampler={name}: {error}") from None
    return sampler


def _seed(seed: int | None, asked: int) -> int | None:
    """The seed itself at first; after a resume another one that follows from it, or the first points would return."""
    if seed is None or asked == 0:
        return seed
    import numpy as np

    return int(np.random.SeedSequence([seed, asked]).generate_state(1)[0])
