"""The ParetoFront: the trials that no other beats."""

from __future__ import annotations

from collections.abc import Sequence

from amlcore.sweep.goal import Goal
from amlcore.sweep.study import Trial


class ParetoFront:
    """Of one metric the best trial, of several the Pareto front; of trials that reached the same the earliest."""

    def __init__(self, goals: Sequence[Goal]) -> None:
        self._goals = goals
        self._trials: list[Trial] = []

    def __len__(self) -> int:
        return len(self._trials)

    def __contains__(self, trial: Trial) -> bool:
        return any(trial.number == other.number for other in self._trials)

    def add(self, trial: Trial) -> None:
        """Take a trial in that reached something, and those out that it beats."""
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
        """The best in the first metric first; of equals the earliest."""
        return sorted(self._trials, key=self.rank)

    @property
    def best(self) -> Trial | None:
        """The one of them that is best in the first metric."""
        return next(iter(self.trials), None)

    def order(self, trial: Trial) -> tuple[bool, bool, float, int]:
        """What all trials of a sweep are sorted by: first these, then the others, then those without a result."""
        return (trial not in self, not trial.reached, *self.rank(trial))

    def rank(self, trial: Trial) -> tuple[float, int]:
        """What trials are sorted by, so that the best in the first metric comes first and of equals the earliest."""
        return (-self._gains(trial)[0] if trial.reached else 0.0, trial.number)

    def _gains(self, trial: Trial) -> tuple[float, ...]:
        return tuple(goal.sign * value for goal, value in zip(self._goals, trial.reached, strict=True))
