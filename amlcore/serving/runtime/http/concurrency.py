"""Concurrency: whether the event loop or a thread answers a request, and for how long."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Any

QUICK_S = 0.001
"""Seconds up to which an answer is computed on the event loop: a thread would cost more."""

SLOW_S = 0.005
"""Two answers in a row as slow as this send the next to a thread, so that the loop can answer health checks."""

STUCK_S = 0.1
"""A single answer as slow as this does so at once; a faster one may just have been interrupted."""

TURN_S = 0.01
"""Seconds for all answers in one iteration of the loop."""

TINY_S = 0.00005
"""Answers this short are not counted: it takes two hundred to fill an iteration, more than the default limit."""

MAX_BYTES = 1 << 16
"""A larger body is never handled on the event loop."""


class Pace:
    """The largest body that one method of a model answers quickly, learned from previous answers."""

    def __init__(self) -> None:
        self.quick_bytes = 0
        self.is_doubtful = False
        """Whether the last answer was slow; the next one decides."""

    def learn(self, size: int, seconds: float) -> None:
        if seconds >= SLOW_S:
            if self.is_doubtful or seconds >= STUCK_S:
                self.quick_bytes = min(self.quick_bytes, size // 2)
            self.is_doubtful = True
            return
        self.is_doubtful = False
        if seconds <= QUICK_S and size > self.quick_bytes:
            self.quick_bytes = min(2 * size, MAX_BYTES)


class Turn:
    """The time that answers have used of the current loop iteration: sixty-four quick ones at once are not quick."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def spend(self, seconds: float) -> None:
        if seconds < TINY_S:
            return
        if self.seconds == 0.0:
            asyncio.get_running_loop().call_soon(self._end)
        self.seconds += seconds

    async def wait_for_time(self) -> None:
        """Wait for an iteration with time left; what has arrived meanwhile, such as a health check, goes first."""
        while self.seconds > TURN_S:
            await asyncio.sleep(0)

    def _end(self) -> None:
        self.seconds = 0.0


class ThreadCall:
    """A call to be made by a thread."""

    __slots__ = ("call", "future", "is_abandoned", "loop", "seconds")

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.is_abandoned = False
        self.seconds = 0.0


class Threads:
    """A fixed number of daemon threads: unlike an executor's, they let the process end in the middle of a call."""

    def __init__(self, count: int) -> None:
        self._waiting: deque[ThreadCall] = deque()
        self._available = threading.Semaphore(0)
        self.abandoned = 0  # calls that still run although their request has been answered
        for _ in range(count):
            threading.Thread(target=self._work, daemon=True).start()

    async def run(self, call: Callable[[], Any], pace: Pace, size: int) -> Any:
        """The result of `call`; if the request is cancelled, a waiting call is dropped and a running one is counted."""
        job = ThreadCall(call)
        self._waiting.append(job)
        self._available.release()
        try:
            result = await job.future
        except asyncio.CancelledError:
            if job.future.cancelled():  # otherwise the call ended just as the request timed out
                self._drop(job)
            raise
        pace.learn(size, job.seconds)
        return result

    def _drop(self, job: ThreadCall) -> None:
        try:
            self._waiting.remove(job)
        except ValueError:  # a thread has it
            job.is_abandoned = True
            self.abandoned += 1

    def _work(self) -> None:
        while True:
            self._available.acquire()
            try:
                job = self._waiting.popleft()
            except IndexError:  # it was dropped
                continue
            started = perf_counter()
            try:
                result, error = job.call(), None
            except BaseException as raised:
                result, error = None, raised
            job.seconds = perf_counter() - started
            try:
                job.loop.call_soon_threadsafe(self._finish, job, result, error)
            except RuntimeError:  # the loop is closed: the service is stopping
                return
            del job, result, error

    def _finish(self, job: ThreadCall, result: Any, error: BaseException | None) -> None:
        if job.is_abandoned:
            self.abandoned -= 1
        elif job.future.cancelled():
            return
        elif error is not None:
            job.future.set_exception(error)
        else:
            job.future.set_result(result)


class InFlight:
    """The requests being answered, each with its deadline."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._deadlines: dict[asyncio.Task[Any], float] = {}  # oldest first: all have the same timeout
        self._overdue: set[asyncio.Task[Any]] = set()
        self._is_watching = False

    def __len__(self) -> int:
        return len(self._deadlines)

    def enter(self, started: float) -> asyncio.Task[Any]:
        """Add the running task's request; it is cancelled at its deadline."""
        task = asyncio.current_task()
        assert task is not None
        self._deadlines[task] = started + self._timeout_s
        if not self._is_watching:
            # one timer for all: a timer for each request costs as much as a small answer
            self._is_watching = True
            asyncio.get_running_loop().call_later(self._timeout_s, self._watch)
        return task

    def leave(self, task: asyncio.Task[Any]) -> None:
        self._deadlines.pop(task, None)
        if self._overdue:
            self._overdue.discard(task)

    def is_overdue(self, task: asyncio.Task[Any]) -> bool:
        """Whether `task` was cancelled at its deadline, and not because the service is stopping."""
        return task in self._overdue

    def _watch(self) -> None:
        now = perf_counter()
        for task, deadline in list(self._deadlines.items()):
            if deadline > now:
                break
            if task not in self._overdue:
                self._overdue.add(task)
                task.cancel()
        waiting = [deadline for task, deadline in self._deadlines.items() if task not in self._overdue][:1]
        self._is_watching = bool(waiting)
        for deadline in waiting:
            asyncio.get_running_loop().call_later(max(0.0, deadline - now), self._watch)
