"""The loop of a sweep: a free slot gets the next trial at once. It knows nothing of processes and files."""

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
    """A trial has ended."""

    number: int
    state: TrialState
    value: float | None = None
    reason: str | None = None
    further: tuple[float, ...] = ()  # of the primary metrics after the first


@dataclass(frozen=True)
class MetricReported:
    """A running trial has logged the metric that it is judged by."""

    number: int
    value: float
    interval: int | None = None  # the number of this log in the newest attempt; None: the next one


class Trials(Protocol):
    """Runs the trials of a sweep."""

    def start(self, trial: Trial) -> None:
        """Start a trial, or continue one that was started before."""

    def poll(self) -> Iterable[TrialEnded | MetricReported]:
        """What was logged and which trials ended since the last call."""

    def stop(self, number: int, reason: str, *, pruned: bool = False) -> None:
        """Ask a trial to end; `poll` reports it later, as PRUNED or as CANCELED."""

    def history(self, number: int) -> list[float]:
        """All values of the judged metric that an ended trial logged."""


class Loop:
    """Keeps the slots of a sweep busy until there is nothing left to try.

    Parameters
    ----------
    slots : int
        The number of trials that run at once.
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
        self._started_at = clock()
        self._trials_running: dict[int, Trial] = {}
        self.progress = SweepProgress(ParetoFront(sweep.goals), slots=self._slots)
        self.stopped: str | None = None  # why no more trials are started; None if all have been tried
        self._stopping: set[int] = set()
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
    def elapsed_s(self) -> float:
        return self._clock() - self._started_at

    @property
    def failed_too_often(self) -> bool:
        max_failures = self._sweep.max_failures
        return max_failures is not None and self.progress.counts[TrialState.FAIL] > max_failures

    def step(self) -> list[Trial]:
        """Tell the study which trials ended, then fill the slots; returns the trials that ended."""
        ended = []
        for event in self._trials.poll():
            if isinstance(event, TrialEnded):
                ended.append(self._record(event))
            else:
                self._judge(event)
        self._check_limits()
        self._fill()
        return ended

    def _fill(self) -> None:
        """Start trials in all free slots, but only after the study has recorded them."""
        trials: list[Trial] = []
        free_slots = self._slots - len(self.progress.running)
        while self.stopped is None and self._study.remaining > 0 and len(trials) < free_slots:
            trials.append(self._study.ask())
        if trials:
            self._study.sync_soon()
        for trial in trials:
            self._start(trial)

    def stop(self, reason: str) -> None:
        """Start no more trials, and stop those that run."""
        if self.stopped is not None:
            return
        self.stopped = reason
        for number in self.progress.running:
            self._trials.stop(number, reason)

    def _keeps_history(self, trial: Trial) -> bool:
        """Whether running trials are compared with this ended one; Optuna's pruners keep their own history."""
        policy = self._sweep.early_termination
        return policy is not None and policy.is_azures and trial.state is not TrialState.CANCELED

    def _counted(self, logged: float) -> float:
        """A logged value for comparison: an infinite one never beats another."""
        return logged if math.isfinite(logged) else self._sweep.goals[0].worst

    def _judge(self, event: MetricReported) -> None:
        """Stop the trial if early termination says so."""
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
        if reason is not None and event.number not in self._stopping:
            self._stopping.add(event.number)
            self._trials.stop(event.number, f"{EARLY_TERMINATION}{reason}", pruned=True)

    def _check_limits(self) -> None:
        if self._sweep.timeout_s is not None and self.elapsed_s >= self._sweep.timeout_s:
            self.stop(f"the sweep reached sweep.max_duration_minutes={self._sweep.max_duration_minutes:g}")
        elif self.failed_too_often:
            self.stop(f"more trials failed than sweep.max_failures={self._sweep.max_failures}")

    def _start(self, trial: Trial) -> None:
        self._trials_running[trial.number] = trial
        self.progress.start(trial.number, now=self._clock())
        self._trials.start(trial)

    def _record(self, end: TrialEnded) -> Trial:
        end = self._checked(end)
        self.progress.end(end.number, now=self._clock())
        self._study.tell(end.number, end.state, end.value, end.reason, further=end.further)
        values = self._trials_running.pop(end.number).values
        trial = Trial(end.number, values, end.state, end.value, end.reason, end.further)
        self.progress.count(trial)
        return trial

    def _checked(self, end: TrialEnded) -> TrialEnded:
        """The same end, or a failure if a value is infinite: no other trial could ever beat it."""
        values = () if end.value is None else (end.value, *end.further)
        for metric, value in zip(self._sweep.metrics, values, strict=False):
            if not math.isfinite(value):
                return TrialEnded(
                    end.number, TrialState.FAIL, reason=f"{metric} is {value}, which is not a finite number"
                )
        return end
