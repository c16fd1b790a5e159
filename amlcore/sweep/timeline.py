"""The timeline of the slots: Optuna's timeline plot with a row for each slot instead of each trial."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.study import Study as OptunaStudy
    from optuna.trial import FrozenTrial

Spans = Mapping[int, tuple[float, float]]
"""From when to when each trial held its slot, by its number, in seconds since the epoch."""

THICKNESS = 0.8


def rows(spans: Spans) -> dict[int, int]:
    """The row of each trial, from 1: the first that is free when it starts, so there are as many as ran at once."""
    free: list[float] = []
    rows: dict[int, int] = {}
    for number, (start, end) in sorted(spans.items(), key=lambda item: (item[1], item[0])):
        row = next((row for row, until in enumerate(free) if until <= start), len(free))
        free[row : row + 1] = [end]
        rows[number] = row + 1
    return rows


@dataclass
class TimedStudy:
    """The part of a study that Optuna's plot reads: the trials that held a slot, with the times of their runs."""

    trials: list[FrozenTrial]

    @classmethod
    def of(cls, study: OptunaStudy, spans: Spans) -> TimedStudy:
        trials = [copy.copy(trial) for trial in study.get_trials(deepcopy=False) if trial.number in spans]
        for trial in trials:
            trial.datetime_start, trial.datetime_complete = map(datetime.fromtimestamp, spans[trial.number])
        return cls(trials)

    def get_trials(self, deepcopy: bool = True, states: Any = None) -> list[FrozenTrial]:  # noqa: ARG002  Optuna's own
        return [trial for trial in self.trials if states is None or trial.state in states]


def png(study: OptunaStudy, *, spans: Spans) -> Any:
    """The plot as axes of matplotlib."""
    from optuna.visualization import matplotlib as drawn

    timed, row = TimedStudy.of(study, spans), rows(spans)
    axes = drawn.plot_timeline(timed)  # type: ignore[arg-type]
    for bar, trial in zip(axes.patches, timed.trials, strict=True):
        bar.set(y=row[trial.number] - THICKNESS / 2, height=THICKNESS, edgecolor="white")
    axes.set(title="Timeline of the Slots", ylabel="Slot", ylim=(0.4, max(row.values()) + 0.6))
    return axes


def figure(study: OptunaStudy, *, spans: Spans) -> Any:
    """The plot as a figure of plotly."""
    from optuna.visualization import plot_timeline

    row = rows(spans)
    chart = plot_timeline(TimedStudy.of(study, spans))  # type: ignore[arg-type]
    for bars in chart.data:
        bars.update(y=[row[number] for number in bars.y], marker_line={"color": "white", "width": 1}, width=THICKNESS)
    return chart.update_layout(
        title="Timeline of the Slots", barmode="overlay", yaxis={"title": "Slot", "tickformat": "d", "dtick": 1}
    )
