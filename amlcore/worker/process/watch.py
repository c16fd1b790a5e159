"""The Watch: waits for a script to end, and ends it if it must be ended."""

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
"""How long processes that outlive their script may take to end."""

TERMINATED = "terminated"
SIGTERM_MESSAGE = "the run's supervisor received SIGTERM"
SIGTERM_WAIT_S = 1.0
"""How long the supervisor waits for a SIGTERM of its own after its script ended by one."""

AWAITED = (signal.SIGCHLD, signal.SIGTERM)


class Watch(object):
    """Waits for a script to end, and ends it on cancel, on a limit or on SIGTERM."""

    def __init__(self, pid, request, canceled):
        self.pid = pid
        self.request = request
        self.ended = False
        self.status = 0  # as from wait(2), once the script has ended
        self.cpu_s = 0.0
        self.max_rss_bytes = 0
        self._canceled = canceled
        self._kills = cgroup.memory_kills()
        self._started_at = time.monotonic()
        self._next_memory = self._started_at
        self._stopped = None  # type: tuple[str | None, str | None] | None  # reason and message, once the script was told to end
        self._kill_at = 0.0

    def until_end(self):
        """Wait for the script's end; returns within milliseconds after it."""
        while True:
            caught = signal.sigtimedwait(AWAITED, POLL_S)
            is_told = caught is not None and caught.si_signo == signal.SIGTERM
            self._reap()
            if self.ended:
                if self._stopped is None and (is_told or self._gets_sigterm()):
                    self._stopped = (TERMINATED, SIGTERM_MESSAGE)
                return
            if self._stopped is None:
                if is_told:
                    self._stop(TERMINATED, SIGTERM_MESSAGE)
                else:
                    self._check()
            elif time.monotonic() >= self._kill_at:
                self._send(signal.SIGKILL)

    def _gets_sigterm(self):
        """Whether this process too receives the SIGTERM that has just ended the script.

        A group of processes gets the signal one by one, and a script without a handler ends before the next one.
        """
        by_sigterm = os.WIFSIGNALED(self.status) and os.WTERMSIG(self.status) == signal.SIGTERM
        return signal.sigtimedwait((signal.SIGTERM,), SIGTERM_WAIT_S if by_sigterm else 0) is not None

    def end_leftovers(self):
        """End what the script left running; gives multiprocessing's trackers the time to end by themselves."""
        if not self._has_leftovers():
            return
        self._send(signal.SIGTERM)
        deadline = time.monotonic() + LEFTOVER_WAIT_S
        while self._has_leftovers() and time.monotonic() < deadline:
            signal.sigtimedwait((signal.SIGCHLD,), 0.01)
        deadline = time.monotonic() + LEFTOVER_WAIT_S
        while self._has_leftovers() and time.monotonic() < deadline:
            self._send(signal.SIGKILL)
            signal.sigtimedwait((signal.SIGCHLD,), 0.01)

    def outcome(self):
        """The part of the result about the script's end and its use of resources."""
        is_signaled = os.WIFSIGNALED(self.status)
        is_killed = is_signaled and os.WTERMSIG(self.status) == signal.SIGKILL
        reason, message = self._stopped or (self._out_of_memory() if is_killed else None) or (None, None)
        return {
            "exit_status": None if is_signaled else os.WEXITSTATUS(self.status),
            "signal": os.WTERMSIG(self.status) if is_signaled else None,
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
        elif timeout_s is not None and now - self._started_at >= timeout_s:
            self._stop("timeout", "the run took longer than its limit of {:g} s".format(timeout_s))
        elif mem_bytes is not None and now >= self._next_memory:
            used = memory_bytes(family(os.getpid(), self.pid), mem_bytes)
            self.max_rss_bytes = max(self.max_rss_bytes, used)
            # With thousands of processes on the machine, reading them all must not keep it busy.
            self._next_memory = now + max(MEMORY_POLL_S, 20 * (time.monotonic() - now))
            if used > mem_bytes:
                message = "the run used {:.3g} GB of memory, more than its limit of {:.3g} GB"
                self._stop("memory", message.format(used / 1e9, mem_bytes / 1e9))

    def _out_of_memory(self):
        """Reason and message for a script that the kernel killed for its memory; None if it was killed otherwise."""
        limit = self.request["mem_bytes"] or cgroup.memory_limit()
        is_over = self.request["mem_bytes"] is not None and self.max_rss_bytes > self.request["mem_bytes"]
        if not is_over and cgroup.memory_kills() <= self._kills:
            return None
        message = "the run was killed for its memory use: its peak was {:.3g} GB, its limit {}"
        return "memory", message.format(
            self.max_rss_bytes / 1e9, "{:.3g} GB".format(limit / 1e9) if limit else "unknown"
        )

    def _stop(self, reason, message):
        self._stopped = (reason, message)
        self._kill_at = time.monotonic() + self.request["kill_wait_s"]
        self._send(signal.SIGTERM)

    def _send(self, number):
        send(number, self.pid, family(os.getpid(), self.pid))

    def _reap(self):
        """Collect the status and usage of all children that have ended; True while others live."""
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

    def _has_leftovers(self):
        """Whether a process of the run lives: an adopted child, or a member of the script's process group."""
        if self._reap():
            return True
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return True
