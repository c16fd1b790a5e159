"""The ParetoFront: the trials that no other trial beats."""

from __future__ import annotations

from collections.abc import Sequence

from amlcore.sweep.goal import Goal
from amlcore.sweep.study import Trial


class ParetoFront:
    """The best trial of one metric, the Pareto front of several; of equal trials the earliest."""

    def __init__(self, goals: Sequence[Goal]) -> None:
        self._goals = goals
        self._trials: list[Trial] = []

    def __len__(self) -> int:
        return len(self._trials)

    def __contains__(self, trial: Trial) -> bool:
        return any(trial.number == other.number for other in self._trials)

    def add(self, trial: Trial) -> None:
        """Add a completed trial, unless another beats it, and remove those that it beats."""
        own = self._gains(trial)
        for other in self._trials:
            gains = self._gains(other)
            same_and_later = gains == own and other.number > trial.number
            if not same_and_later and all(theirs >= mine for theirs, mine in zip(gains, own, strict=True)):
                return
        kept = [
            other
            for other in self._trials
            if any(theirs > mine for theirs, mine in zip(self._gains(other), own, strict=True))
        ]
        self._trials = [*kept, trial]

    @property
    def trials(self) -> list[Trial]:
        """Best first by the first metric; of equal ones the earliest."""
        return sorted(self._trials, key=self.rank)

    @property
    def best(self) -> Trial | None:
        """The trial that is best in the first metric."""
        return next(iter(self.trials), None)

    def order(self, trial: Trial) -> tuple[bool, bool, float, int]:
        """The sort key of all trials: first those on the front, then the others, then those without a result."""
        return (trial not in self, not trial.reached, *self.rank(trial))

    def rank(self, trial: Trial) -> tuple[float, int]:
        """The sort key within one group: best first by the first metric, of equal ones the earliest."""
        return (-self._gains(trial)[0] if trial.reached else 0.0, trial.number)

    def _gains(self, trial: Trial) -> tuple[float, ...]:
        return tuple(goal.sign * value for goal, value in zip(self._goals, trial.reached, strict=True))
