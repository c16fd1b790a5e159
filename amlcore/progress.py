"""The Progress of a sweep: a table that lives on a terminal, plain lines where it is piped."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from amlcore.sweep import Sweep
from amlcore.sweep.loop import Tally
from amlcore.sweep.study import Trial, TrialState
from amlcore.tables import pairs, reached, short

SHOWN = 8
REFRESH_S = 0.1


class Progress:
    """Shows how far a sweep is."""

    def __init__(self, sweep: Sweep, *, total: int, say: Callable[[str], None]) -> None:
        self._sweep = sweep
        self._total = total
        self._say = say
        self._began = time.monotonic()
        self._drawn = 0.0
        self._ended_before: int | None = None
        self._last: list[Trial] = []
        self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def say(self, line: str) -> None:
        """Print a line of amlcore's own words, above the table where there is one."""
        if self._live.is_started:
            self._live.console.print(f"aml: {line}", highlight=False, markup=False)
        else:
            self._say(line)

    def step(self, tally: Tally, ended: list[Trial]) -> None:
        """Show what has ended since the last step."""
        if self._ended_before is None:
            self._ended_before = tally.ended - len(ended)
        if not self._live.is_started:
            for trial in ended:
                self._say(f"{self._words(trial)}  [{tally.ended} of {self._total}{self._best(tally)}]")
            return
        self._last = [*self._last, *ended][-SHOWN:]
        now = time.monotonic()
        if now - self._drawn >= REFRESH_S:
            self._drawn = now
            self._live.update(self._table(tally), refresh=True)

    def _table(self, tally: Tally) -> Table:
        counts = tally.counts
        title = (
            f"{len(tally.running)} running, {counts[TrialState.COMPLETE]} done, {counts[TrialState.PRUNED]} pruned, "
            f"{counts[TrialState.FAIL]} failed, of {self._total}{self._best(tally)}{self._left(tally)}"
        )
        table = Table(box=None, pad_edge=False, show_header=False, title=title, title_justify="left")
        for trial in self._last:
            table.add_row(self._words(trial))
        return table

    def _words(self, trial: Trial) -> str:
        if trial.state is not TrialState.COMPLETE:
            said: str = f"{trial.state.lower()}: {trial.reason}"
        else:
            said = reached(trial, self._sweep.metrics) or "done"
        return f"trial {trial.number}: {said}  {pairs(short(trial.values))}"

    def _best(self, tally: Tally) -> str:
        best = tally.best
        if best is None:
            return ""
        if len(self._sweep.metrics) > 1:
            return f", {len(tally.front)} on the Pareto front"
        return f", best {best.value:.6g} by trial {best.number}"

    def _left(self, tally: Tally) -> str:
        done = tally.ended - (self._ended_before or 0)
        if not done:
            return ""
        left: Any = (time.monotonic() - self._began) / done * (self._total - tally.ended)
        return f", about {left:.0f} s left"
