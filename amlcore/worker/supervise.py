"""The Supervisor: starts the script of one run, watches it and writes its result.

It works in a process that depends on neither worker nor driver, so a run whose worker or driver is killed still ends
with a result.
"""

import errno
import os
import shutil
import signal
import time
import traceback

from amlcore.worker import cgroup
from amlcore.worker.child import Script
from amlcore.worker.layout import RunLayout, identity, read_json, write_json
from amlcore.worker.links import keep_linked
from amlcore.worker.processes import family, memory_bytes, send
from amlcore.worker.room import FULL, PAUSE_S, is_full, patient, persistently
from amlcore.worker.workcopy import CanceledError, WorkCopy, script_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

POLL_S = 0.1
MEMORY_POLL_S = 0.2
LEFTOVER_WAIT_S = 0.5
"""How long processes that outlive their script may take to end by themselves."""

COPY_WAIT_S = 60.0
"""How long a run whose files find no room on the disk waits for it."""

TERMINATED = "terminated"
TOLD = "the process that looked after the run was told to end (SIGTERM)"
TOLD_WAIT_S = 1.0
"""How long after a script that ended by SIGTERM its supervisor waits for its own."""

AWAITED = (signal.SIGCHLD, signal.SIGTERM)


class Supervisor(object):
    """Carries out one request, from the copy of its snapshot to its result.

    Parameters: `relative` are the entries of PYTHONPATH that start at the script's folder; `hidden` are the loaded
    modules, and `private` the open files, that the script must not find; `mask` are the signals that it has blocked.
    """

    def __init__(self, request, manifest, *, relative, hidden, mask, private, log):
        self.request = request
        self.manifest = manifest
        self.run_layout = RunLayout(request["folder"])
        self.attempt = self.run_layout.attempt(request["attempt"])
        self.copy = WorkCopy(request, manifest, self.attempt.work, canceled=self._canceled)
        self._relative = relative
        self._hidden = hidden
        self._mask = mask
        self._private = private
        self._log = log
        self._done = False  # whether only the result is left to be written

    def run(self):
        """Run the script and write the result, whatever happens.

        Returns False where there is no result, since the run is to be started again.
        """
        patient(self._wait_for_room)
        try:
            for folder in (self.attempt.folder, self.run_layout.logs):
                persistently(lambda: os.makedirs(folder, exist_ok=True), folder)  # noqa: B023 - called at once
            result = self._carry_out()
        except CanceledError:
            result = dict(failed_result(self.request, None), reason="canceled")
        except Exception as error:
            self._log(traceback.format_exc())
            shutil.rmtree(self.attempt.work, ignore_errors=True)  # on a full disk the result needs the room
            result = failed_result(self.request, "the run could not start: {}".format(error))
        self._done = True
        if self._canceled():
            result.update(reason="canceled", message=None)
        elif result["reason"] == TERMINATED and self.request.get("resumable"):
            return False  # another attempt may follow: whoever started this one knows why it was told to end
        write_result(self.request, result, self._log)
        return True

    def _carry_out(self):
        began = time.time()
        self._make_copy()
        copied_s = time.time() - began
        if self._canceled():
            raise CanceledError
        outcome = self._execute()
        for folder in (self.attempt.outputs, self.attempt.logs):  # what only this host can see is kept here
            keep_linked(folder, self.run_layout.folder, outcome["started"])
        full = bool(outcome["exit_status"] or outcome["signal"]) and is_full(self.attempt.folder)
        named = {"full": self.attempt.folder} if full else {}
        return dict(outcome, attempt=self.request["attempt"], copied_s=copied_s, strays=self.copy.strays(), **named)

    def _make_copy(self):
        """Make the working copy; a disk that is full is given some time, since others may make room."""
        deadline = time.monotonic() + COPY_WAIT_S
        while True:
            try:
                return self.copy.make()
            except OSError as error:
                if error.errno not in FULL or time.monotonic() >= deadline:
                    raise
                self._log("the disk is full, trying on: {}".format(error))
            shutil.rmtree(self.attempt.work, ignore_errors=True)
            time.sleep(PAUSE_S)
            if self._canceled():
                raise CanceledError

    def _wait_for_room(self, error):
        """Wait for a full disk to have room again; False once nobody asks for what was to be written."""
        self._log("the disk is full, trying on: {}".format(error))
        time.sleep(PAUSE_S)
        return os.path.exists(self.run_layout.run) and (self._done or not self._canceled())

    def _canceled(self):
        return os.path.exists(self.run_layout.cancel)

    def _execute(self):
        script = Script(
            os.path.join(self.attempt.work, self.request["script"]),
            error=self.attempt.error,
            beside=os.path.normpath(
                os.path.join(self.attempt.work, script_folder(self.manifest, self.request["script"]))
            ),
            name=self.request["script"],
            arguments=self.copy.arguments(),
            variables=dict(
                self.copy.variables(),
                AMLCORE_RUN=self.run_layout.folder,
                AMLCORE_ATTEMPT=str(self.request["attempt"]),
            ),
            folder=self.attempt.work,
            relative=self._relative,
            hidden=self._hidden,
        )
        streams = [_appending(self.run_layout.stdout), _appending(self.run_layout.stderr)]
        claimed, claim = os.pipe()
        started = time.time()
        pid = os.fork()
        if pid == 0:
            for handle in self._private + (claim,):
                os.close(handle)
            script.run(streams, self._mask, claimed)
        for handle in streams + [claimed]:
            os.close(handle)
        watch = Watch(pid, self.request, self._canceled)
        self._claim(pid, started)
        try:
            os.write(claim, b"c")
        except BrokenPipeError:
            pass  # it has been killed already
        os.close(claim)
        watch.until_end()
        watch.end_leftovers()
        return dict(watch.outcome(), started=started, ended=time.time())

    def _claim(self, pid, started):
        me = identity()  # whoever finds this process gone, and no result, knows that none will come
        try:
            write_json(self.attempt.claim, {"worker": me, "script": identity(pid), "at": started})
        except OSError as error:
            self._log("the claim of {} could not be written: {}".format(self.request["run"], error))


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


def _appending(path):
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    return persistently(lambda: os.open(path, flags, 0o644), path)


def failed_result(request, message):
    # type: (dict[str, typing.Any], str | None) -> dict[str, typing.Any]
    """The result of an attempt whose script did not run, or whose end nobody saw."""
    now = time.time()
    return {
        "attempt": request["attempt"],
        "exit_status": None,
        "signal": None,
        "reason": None,
        "message": message,
        "started": now,
        "ended": now,
        "cpu_s": 0.0,
        "max_rss_bytes": 0,
        "copied_s": 0.0,
        "strays": [],
    }


def write_result(request, result, log):
    # type: (dict[str, typing.Any], dict[str, typing.Any], typing.Callable[[str], None]) -> None
    """Write the result; one that is there already stays."""
    attempt = RunLayout(request["folder"]).attempt(request["attempt"])
    for pause_s in (0, 0.5, 2):
        time.sleep(pause_s)
        try:
            os.makedirs(attempt.folder, exist_ok=True)
            if read_json(attempt.result) is None:
                write_json(attempt.result, result)
            return
        except OSError as error:
            log("the result of {} could not be written: {}".format(request["run"], error))
            if error.errno != errno.ENOSPC:
                return
