"""The loop of a sweep with a clock of its own."""

from __future__ import annotations

from collections.abc import Iterator

from amlcore.sweep.loop import Loop, TrialEnded
from amlcore.sweep.study import Trial, TrialState


class Clock:
    """Time that advances only when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class ScriptedTrials:
    """Trials of given durations and end states."""

    def __init__(self, clock: Clock, durations: list[float], states: list[TrialState] | None = None) -> None:
        self._clock = clock
        self._durations = durations
        self._states = states or [TrialState.COMPLETE]
        self.begun: dict[int, float] = {}
        self.values: dict[int, dict[str, object]] = {}
        self.running: dict[int, Trial] = {}
        self.stopped: dict[int, str] = {}
        self.most = 0

    def start(self, trial: Trial) -> None:
        assert trial.number not in self.running
        self.running[trial.number] = trial
        self.begun.setdefault(trial.number, self._clock.now)
        self.values[trial.number] = trial.values
        self.most = max(self.most, len(self.running))

    def poll(self) -> Iterator[TrialEnded]:
        for number in sorted(self.running):
            if number in self.stopped:
                del self.running[number]
                yield TrialEnded(number, TrialState.CANCELED, reason=self.stopped[number])
            elif self.ends(number) <= self._clock.now:
                del self.running[number]
                state = self._states[number % len(self._states)]
                yield TrialEnded(number, state, float(number % 3) if state is TrialState.COMPLETE else None)

    def stop(self, number: int, reason: str, *, pruned: bool = False) -> None:
        self.stopped[number] = reason

    def history(self, number: int) -> list[float]:
        return []

    def ends(self, number: int) -> float:
        return self.begun[number] + self._durations[number % len(self._durations)]

    def next(self) -> float:
        return min(0.0 if number in self.stopped else self.ends(number) for number in self.running)


def run(loop: Loop, trials: ScriptedTrials, clock: Clock, *, steps: int = 10_000) -> None:
    for _ in range(steps):
        loop.step()
        if loop.is_over:
            return
        clock.now = max(clock.now, trials.next() if trials.running else clock.now)
    raise AssertionError("the loop does not end")
