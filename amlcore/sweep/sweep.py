"""The Sweep: how a search over many runs is declared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from amlcore.errors import ConfigError, legal
from amlcore.sweep.early_termination import EarlyTermination
from amlcore.sweep.goal import Goal
from amlcore.sweep.sampler import GRID, SAMPLERS


@dataclass
class Sweep:
    """Which points of a search space are tried, how many at once, for how long, and what makes one the best."""

    sampler: str = "???"  # who chooses the points: grid, random, sobol, tpe
    sampler_options: dict[str, Any] = field(default_factory=dict)  # given to Optuna's sampler as they are
    primary_metric: str | None = None  # what the script logs, and the trials are compared by; null: they are not
    goal: Goal = Goal.maximize  # of the primary metric
    max_total_runs: int | None = None  # trials in all; null: the whole grid
    max_concurrent_runs: int | None = None  # trials at once; null, or where it is less, compute.slots
    max_duration_minutes: float | None = None  # until the sweep ends, running trials with it; null: none
    trial_timeout_min: float | None = None  # minutes until a trial is stopped; null: compute.timeout_min
    max_failures: int | None = None  # failed trials after which the sweep gives up; null: any number
    seed: int | None = None  # of the sampler; null: another one each time
    resume: bool = False  # go on with the newest sweep of this command instead of beginning a new one
    early_termination: EarlyTermination | None = None  # stops trials that fall behind; null: none
    search_space: dict[str, Any] = field(default_factory=dict)  # key: what it may be, in Hydra's or Azure ML's terms

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise ConfigError(f"sweep.sampler={self.sampler}: {legal(self.sampler, SAMPLERS)}")
        for key, least in (("max_total_runs", 1), ("max_concurrent_runs", 1), ("max_failures", 0), ("seed", 0)):
            value = getattr(self, key)
            if value is not None and value < least:
                raise ConfigError(f"sweep.{key}={value}: must be at least {least}")
        for key in ("max_duration_minutes", "trial_timeout_min"):
            value = getattr(self, key)
            if value is not None and value <= 0:
                raise ConfigError(f"sweep.{key}={value}: must be above 0, or null for none")

    @property
    def is_grid(self) -> bool:
        return self.sampler == GRID

    def check(self) -> None:
        """Make sure that what the sampler needs to know is there."""
        if SAMPLERS[self.sampler].needs_metric and self.primary_metric is None:
            raise ConfigError(
                f"sweep.primary_metric is not set, and sweep.sampler={self.sampler} learns from it: "
                "name what the script logs, such as sweep.primary_metric=accuracy"
            )
        if self.early_termination is not None:
            self.early_termination.pruner()
            if self.primary_metric is None:
                raise ConfigError("sweep.primary_metric is not set, and sweep.early_termination judges trials by it")
        if self.max_total_runs is None and not self.is_grid:
            raise ConfigError(f"sweep.max_total_runs is not set; sweep.sampler={self.sampler} would go on for ever")

    @property
    def timeout_s(self) -> float | None:
        return None if self.max_duration_minutes is None else self.max_duration_minutes * 60
