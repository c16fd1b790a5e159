"""The JobQuota: how many jobs Slurm takes at once, learnt from what it refuses."""

from __future__ import annotations

import time
from collections.abc import Callable

from amlcore.compute.slurm.sbatch import ArrayTooLongError, LimitError
from amlcore.errors import ExecutionError

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 10.0
FORBIDDEN_S = 60.0
"""For how long Slurm may refuse a user's only job; one that just ended still counts for a moment."""


class JobQuota:
    """Asks for jobs in as many arrays as it takes, and again later for those that a limit keeps out."""

    def __init__(self) -> None:
        self.limit: str | None = None  # what keeps jobs out at the moment
        self._longest_array: int | None = None
        self._batch: int | None = None  # how many to ask for next; None: all
        self._pause_s = FIRST_PAUSE_S
        self._again_at = 0.0
        self._own = 0  # this user's jobs when Slurm was last asked for one
        self._alone_since: float | None = None

    def fill(self, wanted: int, submit: Callable[[int], None], *, own: int) -> None:
        """Call `submit` with numbers of jobs until all that are `wanted` are there, or Slurm takes no more.

        Parameters
        ----------
        own : int
            This user's jobs that have not ended.

        Raises
        ------
        ExecutionError
            Slurm will never take such a job.
        """
        if own < self._own:
            self._again_at, self._pause_s = 0.0, FIRST_PAUSE_S
        self._own = own
        while wanted > 0 and time.monotonic() >= self._again_at:
            count = min(wanted, self._longest_array or wanted, self._batch or wanted)
            try:
                submit(count)
            except ArrayTooLongError:
                if count == 1:
                    raise
                self._longest_array = count // 2
            except LimitError as error:
                if count > 1:
                    self._batch = count // 2
                else:
                    self._wait(error, own=own)
            else:
                wanted -= count
                self._own += count
                self.limit = self._alone_since = None
                self._batch = None if self._batch is None or not wanted else 2 * self._batch

    def _wait(self, error: LimitError, *, own: int) -> None:
        now = time.monotonic()
        self.limit, self._batch = error.name, 1
        self._alone_since = None if own or not error.is_own else self._alone_since or now
        if self._alone_since is not None and now - self._alone_since > FORBIDDEN_S:
            raise ExecutionError(f"{error.name}, although you have no other job in the queue") from None
        self._again_at = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
