"""The Worker: claims the requests of a queue by renaming them, and runs each in a process of its own."""

import gc
import os
import signal
import sys
import time
import traceback

from amlcore.worker.files import read_json
from amlcore.worker.full_disk import PAUSE_S, wait_when_full
from amlcore.worker.layout import OWNER_VARIABLE, QueueLayout, RunLayout
from amlcore.worker.process import preloading
from amlcore.worker.process.processes import kill_session
from amlcore.worker.process.supervisor import failed_result, write_result
from amlcore.worker.process.supervisor_process import INTERRUPTED, KILLED, SupervisorProcess
from amlcore.worker.process.workcopy import start_folder
from amlcore.worker.process_identity import is_alive
from amlcore.worker.run_names import created_now

SHORTEST_PAUSE_S = 0.002
LONGEST_PAUSE_S = 0.05
DRIVER_CHECK_S = 0.25
LOST_HEARTBEAT_S = 60.0
"""A driver on another host counts as gone if its heartbeat has not moved for this long."""


class Worker(object):
    """Runs the requests of one queue, one at a time, in this interpreter."""

    def __init__(self, queue, *, bare, relative, cold, restart):
        self.queue = QueueLayout(queue)
        self.bare = bare
        self.loaded = set()  # type: set[str]  # modules that files of a snapshot might shadow
        self.relative = relative
        self.restart = restart  # the command that restarts this worker without preloading
        self.settings = read_json(self.queue.worker)
        self.cold = cold or not self.settings["preload"]
        self.owner = os.environ.pop(OWNER_VARIABLE)  # a script that itself runs aml must not inherit it
        self.claimed = os.path.join(self.queue.claimed, self.owner)
        self._supervisor = SupervisorProcess(relative=relative, log=self._log)
        self._started_at = self._worked_at = time.monotonic()
        self._beat = None
        self._beat_seen = self._started_at
        self._driver_checked = 0.0
        self._driver_gone_since = None

    def run(self, claimed=None):
        """Work until the queue is closed or its driver has exited, and no request is left; returns the exit status."""
        wait_when_full(self._wait_for_room)
        # A driver that outlives its terminal blocks SIGHUP; scripts must not inherit that.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP,))
        # Some libraries read files of the working folder at import; the driver's folder must not provide them.
        os.chdir(self.queue.folder)
        if not self.cold:
            problem = preloading.preload(self.settings["preload"])
            if problem:
                self._log("preloading is off: " + problem)
                self._restart_cold(claimed)
        # Computed once: reading all names at each run would copy memory that is shared with the scripts.
        self.loaded = preloading.loaded_besides(self.bare)
        if hasattr(gc, "freeze"):
            gc.freeze()
        status = self._work(claimed)
        self._supervisor.close()
        self._mark_ended()
        return status

    def _mark_ended(self):
        try:
            os.rmdir(self.claimed)
            open(os.path.join(self.queue.ended, self.owner), "w").close()
        except OSError:
            pass  # the queue was removed, or holds a request for another attempt

    def _work(self, claimed):
        if claimed:
            self._serve(claimed)
        while not (claimed and self._is_lease_over()):
            is_ending = self._is_ending()  # checked first, so that a request enqueued just before is still found below
            try:
                path = self._claim()
            except FileNotFoundError:  # the queue was removed
                return 0
            claimed = claimed or path
            if path:
                self._serve(path)
            elif is_ending or self._idle_too_long():
                return 0
            else:
                # The pause grows with the idle time: requests often follow each other at once, else speed matters less.
                idle_s = time.monotonic() - self._worked_at
                time.sleep(min(max(SHORTEST_PAUSE_S, idle_s / 20), LONGEST_PAUSE_S))
        return 0

    def _is_lease_over(self):
        """Whether too little time is left in the allocation for another run."""
        lease_s = self.settings.get("lease_s")
        return lease_s is not None and time.monotonic() - self._started_at >= lease_s

    def _idle_too_long(self):
        patience_s = self.settings.get("patience_s")
        return patience_s is not None and time.monotonic() - self._worked_at >= patience_s

    def _is_ending(self):
        return os.path.exists(self.queue.closed) or self._driver_gone()

    def _driver_gone(self):
        now = time.monotonic()
        if now - self._driver_checked >= DRIVER_CHECK_S:
            self._driver_checked = now
            if self._driver_alive(now):
                self._driver_gone_since = None
            elif self._driver_gone_since is None:
                self._driver_gone_since = now
        return self._driver_gone_since is not None and now - self._driver_gone_since >= self.settings["idle_s"]

    def _driver_alive(self, now):
        alive = is_alive(self.settings["driver"])
        if alive is not None:
            return alive
        # The clocks of the hosts may differ, so only a change of the heartbeat counts.
        beat = os.stat(self.queue.worker).st_mtime if os.path.exists(self.queue.worker) else None
        if beat != self._beat:
            self._beat, self._beat_seen = beat, now
        return now - self._beat_seen < LOST_HEARTBEAT_S

    def _claim(self):
        """Claim the oldest request and return its path; None if there is none."""
        for name in sorted((name for name in os.listdir(self.queue.new) if not name.startswith(".")), key=self._age):
            path = os.path.join(self.claimed, name)
            try:
                os.rename(os.path.join(self.queue.new, name), path)
            except FileNotFoundError:
                continue  # another worker was faster
            return path
        return None

    def _age(self, name):
        try:
            return (os.stat(os.path.join(self.queue.new, name)).st_mtime, name)
        except FileNotFoundError:
            return (0.0, name)

    def _serve(self, path):
        request, is_finished = None, True
        try:
            request = read_json(path)
            manifest = read_json(request["manifest"])
            if manifest is None:
                raise FileNotFoundError("the snapshot is missing: there is no file {}".format(request["manifest"]))
            is_finished = self._carry_out(request, manifest, path)
        except Exception as error:
            self._log(traceback.format_exc())
            if isinstance(request, dict):
                write_result(request, failed_result(request, "the run could not start: {}".format(error)), self._log)
        if is_finished:
            _remove(path)
        self._worked_at = time.monotonic()

    def _carry_out(self, request, manifest, path):
        """Have a request carried out; False if another attempt is to follow."""
        folders = [start_folder(manifest, request)] + [os.path.normpath(entry) for entry in self.relative]
        hidden = preloading.shadowed(manifest, folders=folders, loaded=self.loaded)
        if hidden and not self.cold:
            self._log("preloading is off: the source has its own {}".format(", ".join(sorted(hidden))))
            self._restart_cold(path)
        sys.stdout.flush()
        sys.stderr.flush()
        outcome = self._supervisor.supervise(path, hidden)
        if outcome == KILLED and not os.path.exists(RunLayout(request["folder"]).attempt(request["attempt"]).folder):
            outcome = self._supervisor.supervise(path, hidden)  # the last one was exiting and started nothing
        if outcome == KILLED:
            self._write_missing_result(request)
        return outcome != INTERRUPTED

    def _write_missing_result(self, request):
        """Write the result in place of a supervisor that was killed."""
        attempt = RunLayout(request["folder"]).attempt(request["attempt"])
        if read_json(attempt.result) is not None:
            return
        claim = read_json(attempt.claim)
        if claim is not None:
            kill_session(claim["script"]["pid"])
        result = failed_result(request, "the run's supervisor was killed, and the run with it")
        if os.path.exists(RunLayout(request["folder"]).cancel):
            result.update(reason="canceled", message=None)
        write_result(request, result, self._log)

    def _restart_cold(self, claimed):
        """Restart in the same process without preloading, and continue with the claimed request."""
        self._supervisor.close()
        os.environ[OWNER_VARIABLE] = self.owner
        os.execv(self.restart[0], self.restart + ([claimed] if claimed else []))

    def _wait_for_room(self, _error):
        """Pause before the next try to write; False if the queue was removed."""
        time.sleep(PAUSE_S)
        return os.path.exists(self.queue.folder)

    def _log(self, message):
        try:
            with open(self.queue.log, "a", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write("{} worker {}: {}\n".format(created_now(), os.getpid(), message.rstrip()))
        except OSError:
            pass  # a full disk must not end the run


def _remove(path):
    try:
        os.unlink(path)
    except OSError:
        pass
