"""The Progress of a sweep: a live view on a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
import time
from contextlib import suppress

from rich.cells import set_cell_size
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from amlcore.log import Log
from amlcore.sweep import Sweep
from amlcore.sweep.progress import SweepProgress
from amlcore.sweep.study import Trial, TrialState
from amlcore.terminal.attached import Attached
from amlcore.terminal.output import printable, printable_line
from amlcore.terminal.tables import TRIAL_STYLES, parameters, reached, short
from amlcore.terminal.text_table import encodable

RECENT_TRIALS = 8
REFRESH_S = 0.1


class Progress:
    """Shows the progress of a sweep.

    Parameters
    ----------
    file_log : Log
        Takes every line too, even where the live view replaces it.
    """

    def __init__(self, sweep: Sweep, *, total: int, terminal: Attached, file_log: Log) -> None:
        self._sweep = sweep
        self._total = total
        self._terminal = terminal
        self._log = terminal.log
        self._file_log = file_log
        self._started = time.monotonic()
        self._drawn_at = 0.0
        self._recent: list[Trial] = []
        self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)

    def __enter__(self) -> Progress:
        if sys.stderr.isatty() and not self._live.console.is_dumb_terminal:  # which cannot show it
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            self._live.stop()

    def log(self, line: str) -> None:
        """Print one of amlcore's own messages, above the live view if there is one."""
        self._file_log(line)
        if self._is_live:
            self._terminal.write(lambda: self._print_above(f"aml: {printable(line)}"))
        else:
            self._log(line)

    def step(self, progress: SweepProgress, ended: list[Trial]) -> None:
        """Show the trials that have ended since the last step."""
        for trial in ended:
            line = f"{self._describe(trial)}  [{progress.ended} of {self._total}{self._best(progress)}]"
            self._file_log(line)
            if not self._is_live:
                self._log(line)
        if not self._is_live:
            return
        self._recent = [*self._recent, *ended][-RECENT_TRIALS:]
        now = time.monotonic()
        if now - self._drawn_at >= REFRESH_S:
            self._drawn_at = now
            self._terminal.write(lambda: self._live.update(self._view(progress), refresh=True))

    def _print_above(self, line: str) -> None:
        # Wrapped by the terminal itself, so that a path or a command can be copied whole.
        self._live.console.print(encodable(Text(line), sys.stderr), soft_wrap=True)

    @property
    def _is_live(self) -> bool:
        """Whether the live view is shown; once the terminal has gone, plain lines go to the log."""
        if self._live.is_started and not sys.stderr.isatty():
            with suppress(OSError):
                self._live.stop()
        return self._live.is_started

    def _view(self, progress: SweepProgress) -> Group:
        counts = progress.counts
        title = (
            f"{len(progress.running)} running, {counts[TrialState.COMPLETE]} done, {counts[TrialState.PRUNED]} pruned, "
            f"{counts[TrialState.FAIL]} failed, of {self._total}{self._time_left(progress)}"
        )
        lines = [Text(title)]
        if progress.best is not None:
            front = f", {len(progress.front)} on the Pareto front" if len(self._sweep.metrics) > 1 else ""
            lines.append(self._line(f"best is {self._describe(progress.best)}{front}", style="bold"))
        lines += [self._line(self._describe(trial), style=TRIAL_STYLES[trial.state]) for trial in self._recent]
        return Group(*lines)

    def _line(self, text: str, *, style: str) -> Text:
        """One line of the view, truncated to the terminal's width: a wrapped line would move the others."""
        line, ellipsis = encodable(Text(text, style=style), sys.stderr), "…"
        if encodable(Text(ellipsis), sys.stderr).plain != ellipsis:
            ellipsis = "..."
        width = self._live.console.width
        if line.cell_len <= width:
            return line
        return Text(set_cell_size(line.plain, max(width - len(ellipsis), 0)).rstrip() + ellipsis, style=style)

    def _describe(self, trial: Trial) -> str:
        values = parameters(short(trial.values))
        if trial.state is TrialState.COMPLETE:
            outcome = reached(trial, self._sweep.metrics) or "done"
        else:
            state = trial.state.lower()
            outcome = state if trial.reason == state else f"{state}: {trial.reason}"
        return printable_line(f"trial {trial.number}: {outcome}  {values}")

    def _best(self, progress: SweepProgress) -> str:
        best = progress.best
        if best is None:
            return ""
        if len(self._sweep.metrics) > 1:
            return f", {len(progress.front)} on the Pareto front"
        return f", best {best.value:.6g} by trial {best.number}"

    def _time_left(self, progress: SweepProgress) -> str:
        now = time.monotonic()
        remaining_s = progress.remaining_s(self._total, now=now)
        if remaining_s is not None and self._sweep.timeout_s is not None:
            remaining_s = min(remaining_s, self._sweep.timeout_s - (now - self._started))
        if remaining_s is None or remaining_s < 1:  # the running trials take longer than those before
            return ""
        return f", about {_duration(remaining_s)} left"


def _duration(seconds: float) -> str:
    """A duration for people."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
