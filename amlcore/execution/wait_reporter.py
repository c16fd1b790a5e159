"""The WaitReporter: logs why a run does not run yet, and for how long."""

from __future__ import annotations

import time

from amlcore.log import Log

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
        self._reason: str | None = None
        self._since: float | None = None
        self._logged = 0.0

    def report(self, reason: str | None, *, since: float | None = None) -> None:
        """Take the current reason; None if nothing holds the run.

        Parameters
        ----------
        since : float, optional
            When the wait began, in seconds since the epoch; default: with its first reason.
        """
        now = time.time()
        if reason is None:
            self._since, self._reason = None, None
            return
        self._since = self._since or since or now
        waited = now - self._since
        if waited >= self._after_s and (reason != self._reason or now - self._logged >= REMIND_S):
            self._reason, self._logged = reason, now
            self._log(f"Queued for {waited:.0f} s: {reason}" if waited >= 1 else f"Queued: {reason}")
