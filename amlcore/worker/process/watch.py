"""The Watch: waits for a script to end, and ends it where it has to be ended."""

import os
import signal
import time

from amlcore.worker.process import cgroup
from amlcore.worker.process.processes import family, memory_bytes, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

POLL_S = 0.1
MEMORY_POLL_S = 0.2
LEFTOVER_WAIT_S = 0.5
"""How long processes that outlive their script may take to end by themselves."""

TERMINATED = "terminated"
TOLD = "the process that looked after the run was told to end (SIGTERM)"
TOLD_WAIT_S = 1.0
"""How long after a script that ended by SIGTERM its supervisor waits for its own."""

AWAITED = (signal.SIGCHLD, signal.SIGTERM)


class Watch(object):
    """Waits for a script to end, and ends it where it has to be ended."""

    def __init__(self, pid, request, canceled):
        self.pid = pid
        self.request = request
        self.ended = False
        self.status = 0  # as wait(2) gives it, once the script has ended
        self.cpu_s = 0.0
        self.max_rss_bytes = 0
        self._canceled = canceled
        self._kills = cgroup.memory_kills()
        self._began = time.monotonic()
        self._next_memory = self._began
        self._stopped = None  # type: tuple[str | None, str | None] | None  # why the script was told to end
        self._kill_at = 0.0

    def until_end(self):
        """Return within milliseconds after the script has ended."""
        while True:
            caught = signal.sigtimedwait(AWAITED, POLL_S)
            told = caught is not None and caught.si_signo == signal.SIGTERM
            self._reap()
            if self.ended:
                if self._stopped is None and (told or self._is_told()):
                    self._stopped = (TERMINATED, TOLD)
                return
            if self._stopped is None:
                if told:
                    self._stop(TERMINATED, TOLD)
                else:
                    self._check()
            elif time.monotonic() >= self._kill_at:
                self._send(signal.SIGKILL)

    def _is_told(self):
        """Whether this process gets the SIGTERM by which the script has just ended.

        Whoever ends a whole group of processes sends them the signal one by one, and a script without a handler is gone
        before the next has it.
        """
        by_sigterm = os.WIFSIGNALED(self.status) and os.WTERMSIG(self.status) == signal.SIGTERM
        return signal.sigtimedwait((signal.SIGTERM,), TOLD_WAIT_S if by_sigterm else 0) is not None

    def end_leftovers(self):
        """End what the script left running; what ends by itself, as multiprocessing's trackers do, may."""
        if not self._left():
            return
        self._send(signal.SIGTERM)
        deadline = time.monotonic() + LEFTOVER_WAIT_S
        while self._left() and time.monotonic() < deadline:
            signal.sigtimedwait((signal.SIGCHLD,), 0.01)
        deadline = time.monotonic() + LEFTOVER_WAIT_S
        while self._left() and time.monotonic() < deadline:
            self._send(signal.SIGKILL)
            signal.sigtimedwait((signal.SIGCHLD,), 0.01)

    def outcome(self):
        """The part of a result that tells how the script ended and what it used."""
        signaled = os.WIFSIGNALED(self.status)
        killed = signaled and os.WTERMSIG(self.status) == signal.SIGKILL
        reason, message = self._stopped or (self._out_of_memory() if killed else None) or (None, None)
        return {
            "exit_status": None if signaled else os.WEXITSTATUS(self.status),
            "signal": os.WTERMSIG(self.status) if signaled else None,
            "reason": reason,
            "message": message,
            "cpu_s": self.cpu_s,
            "max_rss_bytes": self.max_rss_bytes,
        }

    def _check(self):
        now = time.monotonic()
        timeout_s, mem_bytes = self.request["timeout_s"], self.request["mem_bytes"]
        if self._canceled():
            self._stop("canceled", None)
        elif timeout_s is not None and now - self._began >= timeout_s:
            self._stop("timeout", "the run took longer than its limit of {:g} s".format(timeout_s))
        elif mem_bytes is not None and now >= self._next_memory:
            used = memory_bytes(family(os.getpid(), self.pid), mem_bytes)
            self.max_rss_bytes = max(self.max_rss_bytes, used)
            # A machine with thousands of processes must not be kept busy by reading them all.
            self._next_memory = now + max(MEMORY_POLL_S, 20 * (time.monotonic() - now))
            if used > mem_bytes:
                words = "the run used {:.3g} GB of memory, more than its limit of {:.3g} GB"
                self._stop("memory", words.format(used / 1e9, mem_bytes / 1e9))

    def _out_of_memory(self):
        """Why a killed script was killed, where the kernel did it for its memory."""
        limit = self.request["mem_bytes"] or cgroup.memory_limit()
        over = self.request["mem_bytes"] is not None and self.max_rss_bytes > self.request["mem_bytes"]
        if not over and cgroup.memory_kills() <= self._kills:
            return None
        words = "the run was killed for its memory: it used {:.3g} GB at its peak, and its limit is {}"
        return "memory", words.format(self.max_rss_bytes / 1e9, "{:.3g} GB".format(limit / 1e9) if limit else "unknown")

    def _stop(self, reason, message):
        self._stopped = (reason, message)
        self._kill_at = time.monotonic() + self.request["kill_wait_s"]
        self._send(signal.SIGTERM)

    def _send(self, number):
        send(number, self.pid, family(os.getpid(), self.pid))

    def _reap(self):
        """Take the status and use of every child that has ended, the script and adopted orphans alike."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.pid:
                self.ended, self.status = True, status
            self.cpu_s += usage.ru_utime + usage.ru_stime
            self.max_rss_bytes = max(self.max_rss_bytes, usage.ru_maxrss * 1024)

    def _left(self):
        """Whether a process of the run still lives: a child adopted by this one, or a member of the script's group."""
        if self._reap():
            return True
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return True
