"""The log of a wait: the state of the run, for how long, and why."""

from __future__ import annotations

import pytest

from amlcore.execution.wait_reporter import WaitReporter
from amlcore.record.status import RunState


def test_the_state_is_the_runs_own_and_its_wait_is_counted_from_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("amlcore.execution.wait_reporter.time.time", lambda: now[0])
    lines: list[str] = []
    reporter = WaitReporter(lines.append)

    reporter.report("no slot is free", since=100.0)
    now[0] = 110.0
    reporter.report("no slot is free", since=100.0)
    reporter.report("2 runs are before it", since=100.0)
    reporter.report("its driver has exited", state=RunState.Running, since=107.0)
    reporter.report(None)
    now[0] = 200.0
    reporter.report("its driver has exited", state=RunState.Running)

    assert lines == [
        "Queued: no slot is free",
        "Queued for 10 s: 2 runs are before it",
        "Running for 3 s: its driver has exited",
        "Running: its driver has exited",
    ]
