"""The JobQuota: how many jobs Slurm accepts at once, learned from its refusals."""

from __future__ import annotations

import time
from collections.abc import Callable

from amlcore.compute.slurm.sbatch import ArrayTooLongError, LimitError
from amlcore.errors import ExecutionError

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 10.0
FORBIDDEN_S = 60.0
"""How long Slurm may refuse a user's only job: one that just ended still counts for a moment."""


class JobQuota:
    """Submits jobs in as many arrays as needed, and retries those that a limit keeps out."""

    def __init__(self) -> None:
        self.limit: str | None = None  # the limit that keeps jobs out at the moment
        self._longest_array: int | None = None
        self._batch: int | None = None  # how many to submit next; None: all
        self._pause_s = FIRST_PAUSE_S
        self._again_at = 0.0
        self._own = 0  # this user's jobs at the last submission
        self._alone_since: float | None = None

    def fill(self, count: int, submit: Callable[[int], None], *, own: int) -> None:
        """Call `submit` with numbers of jobs until `count` are submitted, or Slurm accepts no more.

        Parameters
        ----------
        own : int
            This user's jobs that have not ended.

        Raises
        ------
        ExecutionError
            Slurm will never accept such a job.
        """
        if own < self._own:
            self._again_at, self._pause_s = 0.0, FIRST_PAUSE_S
        self._own = own
        while count > 0 and time.monotonic() >= self._again_at:
            size = min(count, self._longest_array or count, self._batch or count)
            try:
                submit(size)
            except ArrayTooLongError:
                if size == 1:
                    raise
                self._longest_array = size // 2
            except LimitError as error:
                if size > 1:
                    self._batch = size // 2
                else:
                    self._wait(error, own=own)
            else:
                count -= size
                self._own += size
                self.limit = self._alone_since = None
                self._batch = None if self._batch is None or not count else 2 * self._batch

    def _wait(self, error: LimitError, *, own: int) -> None:
        now = time.monotonic()
        self.limit, self._batch = error.name, 1
        self._alone_since = None if own or not error.is_own else self._alone_since or now
        if self._alone_since is not None and now - self._alone_since > FORBIDDEN_S:
            raise ExecutionError(f"{error.name}, even though you have no other job in the queue") from None
        self._again_at = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
