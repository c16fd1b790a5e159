"""The loop of a sweep: a slot that frees gets the next trial at once. It knows no processes and no files of runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from amlcore.record.status import EARLY_TERMINATION
from amlcore.sweep.pareto import ParetoFront
from amlcore.sweep.progress import SweepProgress
from amlcore.sweep.study import Study, Trial, TrialState
from amlcore.sweep.sweep import Sweep


@dataclass(frozen=True)
class TrialEnded:
    """A trial has come to its end."""

    number: int
    state: TrialState
    value: float | None = None
    reason: str | None = None
    further: tuple[float, ...] = ()  # of the further primary metrics


@dataclass(frozen=True)
class MetricReported:
    """A running trial has logged once more what it is judged by."""

    number: int
    value: float
    interval: int | None = None  # which log of it this is, as the attempt that counts has it; None: the next


class Trials(Protocol):
    """Where the trials of a sweep are carried out."""

    def start(self, trial: Trial) -> None:
        """Begin to carry out a trial, or go on with one that was begun before."""

    def poll(self) -> Iterable[TrialEnded | MetricReported]:
        """What has been logged and what has ended since the last call, each once."""

    def stop(self, number: int, reason: str, *, pruned: bool = False) -> None:
        """Ask for the end of a trial, which is polled like any other: as PRUNED where it is that, else as CANCELED."""

    def history(self, number: int) -> list[float]:
        """What a trial that has ended logged of what it was judged by."""


class Loop:
    """Keeps the slots of a sweep busy until nothing is left to try.

    Parameters
    ----------
    slots : int
        How many trials run at once.
    clock : callable
        Seconds, as `time.monotonic`.
    """

    def __init__(
        self,
        study: Study,
        trials: Trials,
        *,
        sweep: Sweep,
        slots: int,
        clock: Callable[[], float],
    ) -> None:
        self._study = study
        self._trials = trials
        self._sweep = sweep
        self._slots = min(slots, sweep.max_concurrent_runs or slots)
        self._clock = clock
        self._began = clock()
        self._known: dict[int, Trial] = {}
        self.progress = SweepProgress(ParetoFront(sweep.goals), slots=self._slots)
        self.stopped: str | None = None  # why no further trial begins, where it is not that all have been tried
        self._given_up: set[int] = set()
        self._histories: dict[int, list[float]] = {}
        for trial in study.trials():
            if trial.state is not TrialState.RUNNING:
                self.progress.count(trial)
                if self._keeps_history(trial):
                    self._histories[trial.number] = [*map(self._counted, trials.history(trial.number))]
        for trial in study.unfinished():
            self._start(trial)

    @property
    def is_over(self) -> bool:
        return not self.progress.running and (self.stopped is not None or self._study.remaining <= 0)

    @property
    def spent_s(self) -> float:
        return self._clock() - self._began

    @property
    def failed_too_often(self) -> bool:
        most = self._sweep.max_failures
        return most is not None and self.progress.counts[TrialState.FAIL] > most

    def step(self) -> list[Trial]:
        """Tell the study what has ended, then fill the slots.

        Returns
        -------
        list of Trial
            Those that ended.
        """
        ended = []
        for event in self._trials.poll():
            if isinstance(event, TrialEnded):
                ended.append(self._tell(event))
            else:
                self._judge(event)
        self._check_limits()
        self._fill()
        return ended

    def _fill(self) -> None:
        """Start trials in all slots that are free; the study knows of them, whatever happens, before they begin."""
        trials: list[Trial] = []
        free_slots = self._slots - len(self.progress.running)
        while self.stopped is None and self._study.remaining > 0 and len(trials) < free_slots:
            trials.append(self._study.ask())
        if trials:
            self._study.sync_soon()
        for trial in trials:
            self._start(trial)

    def stop(self, reason: str) -> None:
        """Begin no further trial, and end those that run."""
        if self.stopped is not None:
            return
        self.stopped = reason
        for number in self.progress.running:
            self._trials.stop(number, reason)

    def _keeps_history(self, trial: Trial) -> bool:
        """Whether others are compared with what an ended trial logged: Optuna knows it by itself."""
        policy = self._sweep.early_termination
        return policy is not None and policy.is_azures and trial.state is not TrialState.CANCELED

    def _counted(self, logged: float) -> float:
        """What is compared of a value that a trial logged: one that is infinite is never ahead of another."""
        return logged if math.isfinite(logged) else self._sweep.goals[0].worst

    def _judge(self, event: MetricReported) -> None:
        """Stop a trial that early termination gives up."""
        policy = self._sweep.early_termination
        if policy is None:
            return
        history = self._histories.setdefault(event.number, [])
        history[len(history) if event.interval is None else event.interval - 1 :] = [self._counted(event.value)]
        if policy.is_azures:
            reason = policy.verdict(event.number, self._histories, self._sweep.goals[0])
        else:
            pruned = self._study.report(event.number, len(history), event.value)
            reason = f"{policy.policy}: {event.value:.6g} at interval {len(history)}" if pruned else None
        if reason is not None and event.number not in self._given_up:
            self._given_up.add(event.number)
            self._trials.stop(event.number, f"{EARLY_TERMINATION}{reason}", pruned=True)

    def _check_limits(self) -> None:
        if self._sweep.timeout_s is not None and self.spent_s >= self._sweep.timeout_s:
            self.stop(f"the sweep reached sweep.max_duration_minutes={self._sweep.max_duration_minutes:g}")
        elif self.failed_too_often:
            self.stop(f"more trials failed than sweep.max_failures={self._sweep.max_failures}")

    def _start(self, trial: Trial) -> None:
        self._known[trial.number] = trial
        self.progress.start(trial.number, now=self._clock())
        self._trials.start(trial)

    def _tell(self, end: TrialEnded) -> Trial:
        end = self._compared(end)
        self.progress.end(end.number, now=self._clock())
        self._study.tell(end.number, end.state, end.value, end.reason, further=end.further)
        values = self._known.pop(end.number).values
        trial = Trial(end.number, values, end.state, end.value, end.reason, end.further)
        self.progress.count(trial)
        return trial

    def _compared(self, end: TrialEnded) -> TrialEnded:
        """The same end, or a failure where what was reached cannot be compared: nothing would ever beat an inf."""
        reached = () if end.value is None else (end.value, *end.further)
        for metric, value in zip(self._sweep.metrics, reached, strict=False):
            if not math.isfinite(value):
                return TrialEnded(end.number, TrialState.FAIL, reason=f"{metric} is {value}, which is no finite number")
        return end
