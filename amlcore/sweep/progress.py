"""SweepProgress: how far a sweep is, and how long it will take."""

from __future__ import annotations

from dataclasses import dataclass, field

from amlcore.sweep.pareto import ParetoFront
from amlcore.sweep.study import Trial, TrialState


@dataclass
class SweepProgress:
    """The trials of a sweep that run and that have ended; times are those of the loop's clock, in seconds."""

    front: ParetoFront
    slots: int = 1
    running: dict[int, float] = field(default_factory=dict)  # when each trial was started, by its number
    counts: dict[TrialState, int] = field(default_factory=lambda: dict.fromkeys(TrialState, 0))
    durations: list[float] = field(default_factory=list)  # of the trials that ended in this process

    @property
    def best(self) -> Trial | None:
        return self.front.best

    @property
    def ended(self) -> int:
        """How many trials ended by themselves; those that were canceled with the sweep are tried again."""
        return sum(self.counts.values()) - self.counts[TrialState.CANCELED]

    def start(self, number: int, *, now: float) -> None:
        self.running[number] = now

    def end(self, number: int, *, now: float) -> None:
        self.durations.append(now - self.running.pop(number))

    def count(self, trial: Trial) -> None:
        """Add a trial that has ended."""
        self.counts[trial.state] += 1
        if trial.state is TrialState.COMPLETE and trial.value is not None:
            self.front.add(trial)

    def remaining_s(self, total: int, *, now: float) -> float | None:
        """Seconds until `total` trials will have ended; None until a first one has.

        Each trial is expected to take as long as the mean of those that ended. One that runs longer is expected to end
        at once, so the estimate does not grow while nothing but time passes.
        """
        if not self.durations:
            return None
        mean = sum(self.durations) / len(self.durations)
        running = [max(0.0, mean - (now - started)) for started in self.running.values()]
        to_start = max(0, total - self.ended - len(running))
        return max([(sum(running) + to_start * mean) / self.slots, *running])
