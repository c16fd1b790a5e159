"""Work: who carries out a request, the event loop itself or one of a few threads, and for how long."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Any

QUICK_S = 0.001
"""An answer as quick as this is given on the event loop: a thread would cost more than it."""

SLOW_S = 0.005
"""Two as slow as this, one after the other, send the next to a thread: the loop answers health in the meantime."""

STUCK_S = 0.1
"""One as slow as this does so at once; below, a second one must follow, since any process is interrupted at times."""

TURN_S = 0.01
"""What all answers together may take of one turn of the loop."""

TINY_S = 0.00005
"""What is not counted of that: two hundred such answers fill a turn, more than a worker takes at once by default."""

MOST_BYTES = 1 << 16
"""A body above this is never worked on by the event loop."""


class Pace:
    """Up to which size of a body one method of a model answers quickly, learnt from the answers before."""

    def __init__(self) -> None:
        self.quick_bytes = 0
        self.is_doubtful = False
        """Whether the last answer was slow: the next one tells."""

    def learn(self, size: int, seconds: float) -> None:
        if seconds >= SLOW_S:
            if self.is_doubtful or seconds >= STUCK_S:
                self.quick_bytes = min(self.quick_bytes, size // 2)
            self.is_doubtful = True
            return
        self.is_doubtful = False
        if seconds <= QUICK_S and size > self.quick_bytes:
            self.quick_bytes = min(2 * size, MOST_BYTES)


class Turn:
    """What answers have taken of the present turn of the event loop: sixty-four quick ones at once are not quick."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def spend(self, seconds: float) -> None:
        if seconds < TINY_S:
            return
        if self.seconds == 0.0:
            asyncio.get_running_loop().call_soon(self._end)
        self.seconds += seconds

    async def has_room(self) -> None:
        """Wait for a turn in which an answer may be given; what came in meanwhile, such as health, goes first."""
        while self.seconds > TURN_S:
            await asyncio.sleep(0)

    def _end(self) -> None:
        self.seconds = 0.0


class ThreadCall:
    """A call that a thread makes."""

    __slots__ = ("call", "future", "is_abandoned", "loop", "seconds")

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.is_abandoned = False
        self.seconds = 0.0


class Threads:
    """A fixed number of threads; unlike those of an executor, they let a process end in the middle of a call."""

    def __init__(self, count: int) -> None:
        self._waiting: deque[ThreadCall] = deque()
        self._given = threading.Semaphore(0)
        self.abandoned = 0  # calls whose request was answered without them, and that still run
        for _ in range(count):
            threading.Thread(target=self._work, daemon=True).start()

    async def run(self, call: Callable[[], Any], pace: Pace, size: int) -> Any:
        """What `call` gives; where the request is cancelled, a call that waits is dropped and one that runs counted."""
        job = ThreadCall(call)
        self._waiting.append(job)
        self._given.release()
        try:
            result = await job.future
        except asyncio.CancelledError:
            if job.future.cancelled():  # otherwise the call has ended, in the same moment as the request's time
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
            self._given.acquire()
            try:
                job = self._waiting.popleft()
            except IndexError:  # it was dropped
                continue
            begun = perf_counter()
            try:
                result, error = job.call(), None
            except BaseException as raised:
                result, error = None, raised
            job.seconds = perf_counter() - begun
            try:
                job.loop.call_soon_threadsafe(self._finish, job, result, error)
            except RuntimeError:  # the loop is closed: the service has stopped
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
    """The requests that are being answered, each with the moment by which it must be."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._deadlines: dict[asyncio.Task[Any], float] = {}  # the oldest first, since all have the same time
        self._overdue: set[asyncio.Task[Any]] = set()
        self._is_watching = False

    def __len__(self) -> int:
        return len(self._deadlines)

    def enter(self, begun: float) -> asyncio.Task[Any]:
        """Count the running task's request, and cancel it when its time is over."""
        task = asyncio.current_task()
        assert task is not None
        self._deadlines[task] = begun + self._timeout_s
        if not self._is_watching:
            # one timer for all: one a request costs as much as a small answer
            self._is_watching = True
            asyncio.get_running_loop().call_later(self._timeout_s, self._watch)
        return task

    def leave(self, task: asyncio.Task[Any]) -> None:
        self._deadlines.pop(task, None)
        if self._overdue:
            self._overdue.discard(task)

    def is_overdue(self, task: asyncio.Task[Any]) -> bool:
        """Whether `task` was cancelled because its time is over, and not since the service stops."""
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
