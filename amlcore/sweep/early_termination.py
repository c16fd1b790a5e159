"""EarlyTermination: which running trials to stop, judged by what they have logged so far.

Azure ML's three policies follow its rules: an interval is one log of the primary metric; a trial is judged at every
`evaluation_interval`-th of them, from the `delay_evaluation`-th on. The others are Optuna's pruners.
Source: Azure ML, "How to tune hyperparameters: early termination", and azureml.train.hyperdrive.policy.
"""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from amlcore.errors import ConfigError, must_be
from amlcore.sweep.goal import Goal
from amlcore.sweep.options import check_options

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

Histories = Mapping[int, Sequence[float]]
"""What each trial has logged of the primary metric, by its number."""

POLICIES = ("bandit", "median", "truncation")
PRUNERS = {
    "asha": "SuccessiveHalvingPruner",
    "hyperband": "HyperbandPruner",
    "patient": "PatientPruner",
    "percentile": "PercentilePruner",
    "threshold": "ThresholdPruner",
    "wilcoxon": "WilcoxonPruner",
}
PATIENT = "patient"


@dataclass
class EarlyTermination:
    """When to stop a trial before its script ends."""

    policy: str = "???"  # bandit, median, truncation by Azure ML's rules; asha, hyperband, … by Optuna's
    evaluation_interval: int = 1  # judge at every N-th log of the primary metric
    delay_evaluation: int = 0  # the first log of the primary metric that may be judged
    slack_factor: float | None = None  # bandit: how far behind the best a trial may be, as a ratio
    slack_amount: float | None = None  # bandit: how far behind the best a trial may be, in units of the metric
    truncation_percentage: int | None = None  # truncation: percentage of trials stopped at each interval
    options: dict[str, Any] = field(default_factory=dict)  # keyword arguments of Optuna's pruner
    wrapped: str | None = None  # patient: the pruner that it delays; null: none, it decides alone
    wrapped_options: dict[str, Any] = field(default_factory=dict)  # keyword arguments of that pruner
    metric: str | None = None  # the metric to judge; null: the primary metric

    def __post_init__(self) -> None:
        policies = [*POLICIES, *PRUNERS]
        if self.policy not in policies:
            raise ConfigError(f"sweep.early_termination.policy={self.policy}: {must_be(self.policy, policies)}")
        for key, least in (("evaluation_interval", 1), ("delay_evaluation", 0)):
            if getattr(self, key) < least:
                raise ConfigError(f"sweep.early_termination.{key}={getattr(self, key)}: must be at least {least}")
        if self.policy == "bandit":
            self._check_slack()
        if self.wrapped is not None:
            self._check_wrapped(self.wrapped)
        if self.policy == "truncation" and not 1 <= (self.truncation_percentage or 0) <= 99:
            raise ConfigError(
                f"sweep.early_termination.truncation_percentage={self.truncation_percentage}: must be from 1 to 99"
            )

    @property
    def is_azures(self) -> bool:
        return self.policy in POLICIES

    def pruner(self) -> BasePruner:
        """Optuna's pruner, which decides by itself when to judge a trial."""
        import optuna

        if self.is_azures:
            return optuna.pruners.NopPruner()
        options = self.options
        if self.policy == PATIENT:
            options = {**options, "wrapped_pruner": self._wrapped_pruner()}
        return _build(self.policy, options, key="options")

    def _wrapped_pruner(self) -> BasePruner | None:
        return None if self.wrapped is None else _build(self.wrapped, self.wrapped_options, key="wrapped_options")

    def is_due(self, interval: int) -> bool:
        """Whether a trial is judged at its `interval`-th log, counted from 1."""
        return interval >= self.delay_evaluation and interval % self.evaluation_interval == 0

    def verdict(self, number: int, histories: Histories, goal: Goal) -> str | None:
        """Why to stop trial `number` after its last log, by Azure ML's rules; None if it may continue."""
        interval = len(histories[number])
        if not self.is_due(interval):
            return None
        if self.policy == "bandit":
            return self._bandit(number, histories, goal, interval)
        if self.policy == "median":
            return _median(number, histories, goal, interval)
        return self._truncation(number, histories, goal, interval)

    def _bandit(self, number: int, histories: Histories, goal: Goal, interval: int) -> str | None:
        """Stop a trial if its best is behind the best of all at this interval by more than the slack."""
        own = goal.best(histories[number])
        best = goal.best(goal.best(history[:interval]) for history in histories.values() if len(history) >= interval)
        limit = self._limit(best, goal)
        if not goal.better(limit, own):
            return None
        return f"bandit: {own:.6g} at interval {interval}, the best is {best:.6g} and the limit {limit:.6g}"

    def _limit(self, best: float, goal: Goal) -> float:
        if self.slack_amount is not None:
            return best - goal.sign * self.slack_amount
        ratio = 1 + (self.slack_factor or 0.0)
        # Dividing by the ratio makes a value worse only if it is positive and maximized, or negative and minimized.
        return best / ratio if goal.sign * best > 0 else best * ratio

    def _truncation(self, number: int, histories: Histories, goal: Goal, interval: int) -> str | None:
        """Stop a trial if it is among the lowest percentage of those that reached this interval."""
        values = {other: history[interval - 1] for other, history in histories.items() if len(history) >= interval}
        ranked = sorted(values, key=lambda other: (goal.sign * values[other], -other))  # the worst first
        cut = len(ranked) * (self.truncation_percentage or 0) // 100
        if number not in ranked[:cut]:
            return None
        return f"truncation: {values[number]:.6g} is among the lowest {cut} of {len(ranked)} at interval {interval}"

    def _check_wrapped(self, wrapped: str) -> None:
        if self.policy != PATIENT:
            raise ConfigError(f"sweep.early_termination.wrapped={wrapped}: only policy={PATIENT} wraps another policy")
        policies = PRUNERS.keys() - {PATIENT}
        if wrapped not in policies:
            raise ConfigError(f"sweep.early_termination.wrapped={wrapped}: {must_be(wrapped, policies)}")

    def _check_slack(self) -> None:
        slacks = [slack for slack in (self.slack_factor, self.slack_amount) if slack is not None]
        if len(slacks) != 1:
            raise ConfigError("sweep.early_termination: bandit needs either slack_factor or slack_amount")
        if slacks[0] < 0:
            raise ConfigError(f"sweep.early_termination: the slack of bandit must be at least 0, not {slacks[0]:g}")


def _build(policy: str, options: dict[str, Any], *, key: str) -> BasePruner:
    import optuna

    pruner_class = getattr(optuna.pruners, PRUNERS[policy])
    check_options(f"sweep.early_termination.{key}", pruner_class, options)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna calls some pruners experimental
            pruner: BasePruner = pruner_class(**options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"sweep.early_termination.{key}: {policy}: {error}") from None
    return pruner


def _median(number: int, histories: Histories, goal: Goal, interval: int) -> str | None:
    """Stop a trial if its best is worse than the median of the running averages up to this interval."""
    averages = [statistics.fmean(history[:interval]) for history in histories.values() if len(history) >= interval]
    own, median = goal.best(histories[number]), statistics.median(averages)
    if not goal.better(median, own):
        return None
    return f"median: {own:.6g} at interval {interval}, the median of the averages is {median:.6g}"
