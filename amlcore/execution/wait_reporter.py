"""The WaitReporter: logs why a run is not running yet, and for how long."""

from __future__ import annotations

import time

from amlcore.log import Log
from amlcore.record.status import RunState

REMIND_S = 60.0
"""How often the same reason is logged again."""


class WaitReporter:
    """Logs a reason when it comes up, when it changes, and each minute after that.

    Parameters
    ----------
    after_s : float
        Shorter waits are not logged.
    """

    def __init__(self, log: Log, *, after_s: float = 0.0) -> None:
        self._log = log
        self._after_s = after_s
        self._reported: tuple[RunState, str] | None = None
        self._state: RunState | None = None
        self._since = 0.0
        self._logged = 0.0

    def report(self, reason: str | None, *, state: RunState = RunState.Queued, since: float | None = None) -> None:
        """Take the current reason; None if nothing blocks the run.

        Parameters
        ----------
        state : RunState
            The state that the run stays in for that reason.
        since : float, optional
            When the run came to that state, in seconds since the epoch; default: with the first reason.
        """
        now = time.time()
        if reason is None:
            self._state = self._reported = None
            return
        if state is not self._state:
            self._state, self._since = state, since or now
        waited = now - self._since
        if waited >= self._after_s and ((state, reason) != self._reported or now - self._logged >= REMIND_S):
            self._reported, self._logged = (state, reason), now
            self._log(f"{state} for {waited:.0f} s: {reason}" if waited >= 1 else f"{state}: {reason}")
