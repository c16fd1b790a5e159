"""The intervals of a trial that was interrupted and restarted: only the newest attempt counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from amlcore.sweep import Dimension, EarlyTermination, Space, Sweep
from amlcore.sweep.intervals import Intervals
from amlcore.sweep.loop import Loop, MetricReported
from amlcore.sweep.study import Study, Trial
from amlcore.worker.layout import ATTEMPT_VARIABLE, RUN_VARIABLE
from amlcore.worker.metrics import MetricsTail, read_metrics
from amlcore.worker.script.context import ScriptRun as Run

Logged = list[tuple[float, int | None]]
"""Values and steps."""


@pytest.mark.parametrize(
    ("first", "second", "counted"),
    [
        ([(1, None), (2, None), (3, None)], [(4, None)], [4]),
        ([(1, 0), (2, 1), (3, 2)], [(4, 0), (5, 1)], [4, 5]),
        ([(1, 0), (2, 1), (3, 2)], [(4, 2), (5, 3)], [1, 2, 4, 5]),  # it goes on from a checkpoint
    ],
)
def test_intervals_count_the_newest_attempt_alone(
    first: Logged, second: Logged, counted: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RUN_VARIABLE, str(tmp_path))
    # The second node's clock is behind.
    clock = iter([*range(100, 106), *range(50, 54)])
    monkeypatch.setattr("amlcore.worker.metrics.time.time", lambda: next(clock))
    tail, intervals, seen = MetricsTail(tmp_path / "metrics"), Intervals("m"), []
    for attempt, logged in ((1, first), (2, second)):
        monkeypatch.setenv(ATTEMPT_VARIABLE, str(attempt))
        for value, step in logged:
            Run(tmp_path).log("m", value, step=step)
            Run(tmp_path).log("other", 0)
        seen += list(intervals.take(tail.read_new()))

    again = range(len(counted) - len(second) + 1, len(counted) + 1)
    assert [interval for interval, _ in seen] == [1, 2, 3, *again]
    assert Intervals("m").history(read_metrics(tmp_path / "metrics")) == counted


class Reporting:
    """Trials that report what was laid down once both of them run."""

    def __init__(self, *reports: MetricReported) -> None:
        self._reports = reports
        self.running: list[int] = []
        self.stopped: dict[int, str] = {}

    def start(self, trial: Trial) -> None:
        self.running.append(trial.number)

    def poll(self) -> Iterator[MetricReported]:
        return iter(self._reports if self.running else ())

    def stop(self, number: int, reason: str, *, pruned: bool = False) -> None:
        assert pruned
        self.stopped[number] = reason

    def history(self, number: int) -> list[float]:
        raise AssertionError(number)


@pytest.mark.parametrize(
    ("policy", "values", "reason"),
    [
        # Two logs of each attempt are no third interval, at which the other would be far ahead.
        (EarlyTermination("bandit", slack_factor=0.1, delay_evaluation=3), [5, 5], None),
        # What the first attempt reached at its second interval says nothing of the second attempt's first.
        (EarlyTermination("threshold", options={"lower": 4.0}), [1], "early termination by threshold: 1 at interval 1"),
    ],
    ids=["bandit", "threshold"],
)
def test_a_trial_that_begins_again_is_judged_anew(
    policy: EarlyTermination, values: list[float], reason: str | None
) -> None:
    def reports(number: int, *logged: float) -> list[Any]:
        return [MetricReported(number, value, interval) for interval, value in enumerate(logged, 1)]

    sweep = Sweep("random", primary_metric="m", max_total_runs=2, early_termination=policy)
    trials = Reporting(*reports(0, 9, 9, 9), *reports(1, 5, 5), *reports(1, *values))
    space = Space({"x": Dimension.between(0, 8)})
    loop = Loop(Study(sweep, space), trials, sweep=sweep, slots=2, clock=lambda: 0.0)

    loop.step()
    loop.step()

    assert trials.stopped == ({} if reason is None else {1: reason})
