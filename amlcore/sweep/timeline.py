"""The timeline of the slots: Optuna's own plot of the trials, with a row for each slot instead of for each trial."""

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
"""When each trial had its slot, by its number, in seconds since the epoch."""

THICKNESS = 0.8


def rows(spans: Spans) -> dict[int, int]:
    """A row for each trial, from 1: the first that is free when it begins, so that there are as many as ran at once."""
    free: list[float] = []
    found: dict[int, int] = {}
    for number, (began, ended) in sorted(spans.items(), key=lambda item: (item[1], item[0])):
        row = next((row for row, until in enumerate(free) if until <= began), len(free))
        free[row : row + 1] = [ended]
        found[number] = row + 1
    return found


@dataclass
class Timed:
    """All that Optuna's plot asks a study for: the trials that had a slot, with the times of their runs."""

    trials: list[FrozenTrial]

    @classmethod
    def of(cls, study: OptunaStudy, spans: Spans) -> Timed:
        trials = [copy.copy(trial) for trial in study.get_trials(deepcopy=False) if trial.number in spans]
        for trial in trials:
            trial.datetime_start, trial.datetime_complete = map(datetime.fromtimestamp, spans[trial.number])
        return cls(trials)

    def get_trials(self, deepcopy: bool = True, states: Any = None) -> list[FrozenTrial]:  # noqa: ARG002  Optuna's own
        return [trial for trial in self.trials if states is None or trial.state in states]


def png(study: OptunaStudy, *, spans: Spans) -> Any:
    """The axes of matplotlib."""
    from optuna.visualization import matplotlib as drawn

    timed, row = Timed.of(study, spans), rows(spans)
    axes = drawn.plot_timeline(timed)  # type: ignore[arg-type]
    for bar, trial in zip(axes.patches, timed.trials, strict=True):
        bar.set(y=row[trial.number] - THICKNESS / 2, height=THICKNESS, edgecolor="white")
    axes.set(title="Timeline of the Slots", ylabel="Slot", ylim=(0.4, max(row.values()) + 0.6))
    return axes


def figure(study: OptunaStudy, *, spans: Spans) -> Any:
    """The figure of plotly."""
    from optuna.visualization import plot_timeline

    row = rows(spans)
    found = plot_timeline(Timed.of(study, spans))  # type: ignore[arg-type]
    for bars in found.data:
        bars.update(y=[row[number] for number in bars.y], marker_line={"color": "white", "width": 1}, width=THICKNESS)
    return found.update_layout(
        title="Timeline of the Slots", barmode="overlay", yaxis={"title": "Slot", "tickformat": "d", "dtick": 1}
    )
