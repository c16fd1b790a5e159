"""The Sweep: how a search over many runs is declared."""

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
    """Which points of a search space are tried, how many at once, for how long, and what makes one the best."""

    sampler: str = "???"  # who chooses the points: grid, random, sobol, tpe, …, or optuna.samplers.NAME
    sampler_options: dict[str, Any] = field(default_factory=dict)  # given to Optuna's sampler as they are
    primary_metric: Any = None  # what the script logs and the trials are compared by: a name, or several; null: nothing
    goal: Any = Goal.maximize  # of the primary metric: maximize or minimize; a list has one for each
    max_total_runs: int | None = None  # trials in all; null: the whole grid
    max_concurrent_runs: int | None = None  # trials at once; null, or where it is less, compute.slots
    max_duration_minutes: float | None = None  # until the sweep ends, running trials with it; null: none
    trial_timeout_min: float | None = None  # minutes until a trial is stopped; null: compute.timeout_min
    max_failures: int | None = None  # failed trials after which the sweep gives up; null: any number
    seed: int | None = None  # of the sampler; null: another one each time
    resume: bool = False  # go on with the newest sweep of this command instead of beginning a new one
    warm_start: list[str] = field(default_factory=list)  # earlier sweeps whose trials the sampler is told of
    plots: bool = True  # whether plots are drawn into outputs/ of the sweep when it has ended
    early_termination: EarlyTermination | None = None  # stops trials that fall behind; null: none
    search_space: dict[str, Any] = field(default_factory=dict)  # key: what it may be, in Hydra's or Azure ML's terms

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
                raise ConfigError(f"sweep.{key}={value}: must be above 0, or null for none")

    @property
    def is_grid(self) -> bool:
        return self.sampler == GRID

    @property
    def metrics(self) -> tuple[str, ...]:
        """The primary metrics, the first of which decides where one trial has to be chosen."""
        if self.primary_metric is None:
            return ()
        return tuple(self.primary_metric) if isinstance(self.primary_metric, list) else (self.primary_metric,)

    @property
    def goals(self) -> tuple[Goal, ...]:
        """The goal of each metric; one that is given for all of them counts for each."""
        return tuple(self.goal) if isinstance(self.goal, list) else (self.goal,) * max(len(self.metrics), 1)

    @property
    def judged_metric(self) -> str | None:
        """The metric that early termination judges a running trial by."""
        early = self.early_termination
        own = None if early is None else early.metric
        return own if own is not None or not self.metrics else self.metrics[0]

    def check(self) -> None:
        """Make sure that what the sampler needs is there."""
        check_sampler(self.sampler)
        make_sampler(self.sampler, seed=self.seed, trial_count=0, options=self.sampler_options)
        if SAMPLERS[self.sampler].learns and not self.metrics:
            raise ConfigError(
                f"sweep.primary_metric is not set, and sweep.sampler={self.sampler} learns from it: "
                "name what the script logs, such as sweep.primary_metric=accuracy"
            )
        self._check_multi_objective()
        if self.early_termination is not None:
            self.early_termination.pruner()
            if not self.metrics:
                raise ConfigError("sweep.primary_metric is not set, and sweep.early_termination judges trials by it")
        if self.max_total_runs is None and not self.is_grid:
            raise ConfigError(f"sweep.max_total_runs is not set; sweep.sampler={self.sampler} would go on for ever")

    def _check_multi_objective(self) -> None:
        count = len(self.metrics)
        if len(self.goals) != max(count, 1):
            raise ConfigError(
                f"sweep.goal={_listed(self.goals)}: {len(self.goals)} goals for {count} metrics; "
                "give one goal for all, or as many as sweep.primary_metric has names"
            )
        if count > 1 and not SAMPLERS[self.sampler].multi_objective:
            able = ", ".join(name for name in NAMED if NAMED[name].multi_objective)
            raise ConfigError(
                f"sweep.primary_metric={_listed(self.metrics)}: sweep.sampler={self.sampler} takes one metric; "
                f"several at once take {able}"
            )
        if count > 1 and self.early_termination is not None:
            raise ConfigError(
                f"sweep.primary_metric={_listed(self.metrics)}: sweep.early_termination judges trials by one metric; "
                "leave it out, by sweep/early_termination=none, or name one metric"
            )

    @property
    def timeout_s(self) -> float | None:
        return None if self.max_duration_minutes is None else self.max_duration_minutes * 60


def _names(given: Any) -> Any:
    """A metric's name, or a list of several; a list of one is that one."""
    names = given if isinstance(given, list) else [given]
    if given is None:
        return None
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f"sweep.primary_metric={given}: must be a name that the script logs, or a list of such names")
    if len(set(names)) < len(names):
        raise ConfigError(f"sweep.primary_metric={_listed(names)}: one name stands there twice")
    return names if len(names) > 1 else names[0]


def _goals(given: Any) -> Any:
    try:
        return [Goal(goal) for goal in given] if isinstance(given, list) else Goal(given)
    except ValueError:
        shown = _listed(given) if isinstance(given, list) else given
        raise ConfigError(f"sweep.goal={shown}: {must_be('', Goal)}, or a list of these") from None


def _listed(items: Sequence[object]) -> str:
    return f"[{','.join(map(str, items))}]"
