"""The Sweep: the declaration of a search over many runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from amlcore.errors import ConfigError, must_be
from amlcore.sweep.early_termination import EarlyTermination
from amlcore.sweep.goal import Goal
from amlcore.sweep.sampler import GRID, NAMED, SAMPLERS, check_sampler, make_sampler


@dataclass
class Sweep:
    """Which points of a search space to try, how many at once, for how long, and which is the best."""

    sampler: str = "???"  # what chooses the points: grid, random, sobol, tpe, …, or optuna.samplers.NAME
    sampler_options: dict[str, Any] = field(default_factory=dict)  # keyword arguments of Optuna's sampler
    primary_metric: Any = None  # the logged metric that trials are compared by; a list: several; null: none
    goal: Any = Goal.maximize  # maximize or minimize the primary metric; a list: one for each metric
    max_total_runs: int | None = None  # total number of trials; null: the whole grid
    max_concurrent_runs: int | None = None  # number of trials at once, at most compute.slots; null: compute.slots
    max_duration_minutes: float | None = None  # until the sweep and its running trials are stopped; null: no limit
    trial_timeout_min: float | None = None  # until a trial is stopped; null: compute.timeout_min
    max_failures: int | None = None  # failed trials that the sweep tolerates; null: any number
    seed: int | None = None  # of the sampler; null: a random one
    resume: bool = False  # continue the newest sweep of this command instead of starting a new one
    warm_start: list[str] = field(default_factory=list)  # earlier sweeps whose trials the sampler learns from
    plots: bool = True  # whether to draw plots into the outputs/ of the sweep when it ends
    early_termination: EarlyTermination | None = None  # stops trials that fall behind; null: off
    search_space: dict[str, Any] = field(default_factory=dict)  # key: its values, in Hydra's or Azure ML's terms

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise ConfigError(f"sweep.sampler={self.sampler}: {must_be(self.sampler, SAMPLERS)}")
        self.primary_metric = _names(self.primary_metric)
        self.goal = _goals(self.goal)
        for key, least in (("max_total_runs", 1), ("max_concurrent_runs", 1), ("max_failures", 0), ("seed", 0)):
            value = getattr(self, key)
            if value is not None and value < least:
                raise ConfigError(f"sweep.{key}={value}: must be at least {least}")
        for key in ("max_duration_minutes", "trial_timeout_min"):
            value = getattr(self, key)
            if value is not None and value <= 0:
                raise ConfigError(f"sweep.{key}={value}: must be positive, or null for no limit")

    @property
    def is_grid(self) -> bool:
        return self.sampler == GRID

    @property
    def metrics(self) -> tuple[str, ...]:
        """The primary metrics; the first decides which trial is the best."""
        if self.primary_metric is None:
            return ()
        return tuple(self.primary_metric) if isinstance(self.primary_metric, list) else (self.primary_metric,)

    @property
    def goals(self) -> tuple[Goal, ...]:
        """The goal of each metric; a single goal counts for all."""
        return tuple(self.goal) if isinstance(self.goal, list) else (self.goal,) * max(len(self.metrics), 1)

    @property
    def judged_metric(self) -> str | None:
        """The metric that early termination judges running trials by."""
        early = self.early_termination
        metric = None if early is None else early.metric
        return metric if metric is not None or not self.metrics else self.metrics[0]

    def check(self) -> None:
        """Check that the sampler has all that it needs."""
        check_sampler(self.sampler)
        make_sampler(self.sampler, seed=self.seed, trial_count=0, options=self.sampler_options)
        if SAMPLERS[self.sampler].learns and not self.metrics:
            raise ConfigError(
                f"sweep.primary_metric is not set, and sweep.sampler={self.sampler} needs it: "
                "name a metric that the script logs, such as sweep.primary_metric=accuracy"
            )
        self._check_multi_objective()
        if self.early_termination is not None:
            self.early_termination.pruner()
            if not self.metrics:
                raise ConfigError("sweep.primary_metric is not set, and sweep.early_termination needs it")
        if self.max_total_runs is None and not self.is_grid:
            raise ConfigError(f"sweep.max_total_runs is not set; sweep.sampler={self.sampler} would never stop")

    def _check_multi_objective(self) -> None:
        count = len(self.metrics)
        if len(self.goals) != max(count, 1):
            raise ConfigError(
                f"sweep.goal={_listed(self.goals)}: {len(self.goals)} goals for {count} metrics; "
                "set one goal for all metrics, or one for each"
            )
        if count > 1 and not SAMPLERS[self.sampler].multi_objective:
            samplers = ", ".join(name for name in NAMED if NAMED[name].multi_objective)
            raise ConfigError(
                f"sweep.primary_metric={_listed(self.metrics)}: sweep.sampler={self.sampler} supports only one metric; "
                f"samplers for several: {samplers}"
            )
        if count > 1 and self.early_termination is not None:
            raise ConfigError(
                f"sweep.primary_metric={_listed(self.metrics)}: sweep.early_termination supports only one metric; "
                "turn it off with sweep/early_termination=none, or name one metric"
            )

    @property
    def timeout_s(self) -> float | None:
        return None if self.max_duration_minutes is None else self.max_duration_minutes * 60


def _names(value: Any) -> Any:
    """The name of a metric, or a list of several; a list of one name becomes that name."""
    names = value if isinstance(value, list) else [value]
    if value is None:
        return None
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f"sweep.primary_metric={value}: must be the name of a logged metric, or a list of names")
    if len(set(names)) < len(names):
        raise ConfigError(f"sweep.primary_metric={_listed(names)}: a name is listed twice")
    return names if len(names) > 1 else names[0]


def _goals(value: Any) -> Any:
    try:
        return [Goal(goal) for goal in value] if isinstance(value, list) else Goal(value)
    except ValueError:
        shown = _listed(value) if isinstance(value, list) else value
        raise ConfigError(f"sweep.goal={shown}: {must_be('', Goal)}, or a list of these") from None


def _listed(items: Sequence[object]) -> str:
    return f"[{','.join(map(str, items))}]"
