"""The Supervisor: starts the script of one run, watches it and writes its result.

Its process depends on neither worker nor driver, so a run still ends with a result if one of them is killed.
"""

import errno
import os
import shutil
import time
import traceback

from amlcore.worker.files import read_json, write_json
from amlcore.worker.full_disk import FULL_DISK_ERRNOS, PAUSE_S, is_full, retry_while_full, wait_when_full
from amlcore.worker.layout import RunLayout
from amlcore.worker.mlflow.activation import variables as mlflow_variables
from amlcore.worker.process.child import ScriptProcess
from amlcore.worker.process.links import keep_linked
from amlcore.worker.process.watch import TERMINATED, Watch
from amlcore.worker.process.workcopy import CanceledError, WorkCopy, start_folder
from amlcore.worker.process_identity import identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

COPY_WAIT_S = 60.0
"""How long a run waits for a full disk to take the copy of its files."""


class Supervisor(object):
    """Carries out one request, from the copy of its snapshot to its result.

    Parameters: `relative` are the entries of PYTHONPATH that are relative to the script's folder; `hidden` are the
    loaded modules, and `private` the open files, that the script must not find; `mask` is its signal mask.
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
        self._done = False  # whether only the result is still to be written

    def run(self):
        """Run the script and write the result, whatever happens.

        Returns False if there is no result because the run is to be started again.
        """
        before = wait_when_full(self._wait_for_room)
        try:
            return self._run()
        finally:
            wait_when_full(*before)

    def _run(self):
        try:
            for folder in (self.attempt.folder, self.run_layout.logs):
                retry_while_full(lambda: os.makedirs(folder, exist_ok=True), folder)  # noqa: B023 - called at once
            result = self._carry_out()
        except CanceledError:
            result = dict(failed_result(self.request, None), reason="canceled")
        except Exception as error:
            self._log(traceback.format_exc())
            shutil.rmtree(self.attempt.work, ignore_errors=True)  # if the disk is full, make room for the result
            result = failed_result(self.request, "the run could not start: {}".format(error))
        self._done = True
        if self._canceled():
            result.update(reason="canceled", message=None)
        elif result["reason"] == TERMINATED and self.request.get("resumable"):
            return False  # another attempt may follow: whoever sent SIGTERM decides
        write_result(self.request, result, self._log)
        return True

    def _carry_out(self):
        start = time.time()
        self._make_copy()
        copied_s = time.time() - start
        if self._canceled():
            raise CanceledError
        outcome = self._execute()
        self._keep_linked(outcome["started"])
        is_disk_full = bool(outcome["exit_status"] or outcome["signal"]) and is_full(self.attempt.folder)
        extra = {"full": self.attempt.folder} if is_disk_full else {}
        return dict(outcome, attempt=self.request["attempt"], copied_s=copied_s, strays=self.copy.strays(), **extra)

    def _keep_linked(self, since):
        """Replace links to files that only this host can see, such as in its /tmp."""
        for folder in (self.attempt.outputs, self.attempt.logs):
            try:
                keep_linked(folder, self.run_layout.folder, since)
            except OSError as error:
                self._log("cannot follow the links in {}: {}".format(folder, error))

    def _make_copy(self):
        """Make the working copy; wait for a while if the disk is full."""
        deadline = time.monotonic() + COPY_WAIT_S
        while True:
            try:
                return self.copy.make()
            except OSError as error:
                if error.errno not in FULL_DISK_ERRNOS or time.monotonic() >= deadline:
                    raise
                self._log("the disk is full; retrying: {}".format(error))
            shutil.rmtree(self.attempt.work, ignore_errors=True)
            time.sleep(PAUSE_S)
            if self._canceled():
                raise CanceledError

    def _wait_for_room(self, error):
        """Pause before the next try to write; False if the result is no longer needed."""
        self._log("the disk is full; retrying: {}".format(error))
        time.sleep(PAUSE_S)
        return os.path.exists(self.run_layout.run) and (self._done or not self._canceled())

    def _canceled(self):
        return os.path.exists(self.run_layout.cancel)

    def _execute(self):
        script = ScriptProcess(
            os.path.join(self.attempt.work, self.request["script"]),
            error=self.attempt.error,
            beside=os.path.normpath(os.path.join(self.attempt.work, start_folder(self.manifest, self.request))),
            name=self.request["script"],
            module=self.request.get("module"),
            arguments=self.copy.arguments(),
            variables=dict(
                self.copy.variables(),
                AMLCORE_RUN=self.run_layout.folder,
                AMLCORE_ATTEMPT=str(self.request["attempt"]),
                **mlflow_variables(self.run_layout.folder, self.request.get("mlflow", True)),
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
            pass  # the script has been killed already
        os.close(claim)
        watch.until_end()
        watch.end_leftovers()
        return dict(watch.outcome(), started=started, ended=time.time())

    def _claim(self, pid, started):
        me = identity()  # if this process ends without a result, there will be none
        try:
            write_json(self.attempt.claim, {"worker": me, "script": identity(pid), "at": started})
        except OSError as error:
            self._log("cannot write the claim of {}: {}".format(self.request["run"], error))


def _appending(path):
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    return retry_while_full(lambda: os.open(path, flags, 0o644), path)


def failed_result(request, message):
    # type: (dict[str, typing.Any], str | None) -> dict[str, typing.Any]
    """The result of an attempt whose script did not run, or ended unobserved."""
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
    """Write the result, unless there is one already."""
    attempt = RunLayout(request["folder"]).attempt(request["attempt"])
    for pause_s in (0, 0.5, 2):
        time.sleep(pause_s)
        try:
            os.makedirs(attempt.folder, exist_ok=True)
            if read_json(attempt.result) is None:
                write_json(attempt.result, result)
            return
        except OSError as error:
            log("cannot write the result of {}: {}".format(request["run"], error))
            if error.errno != errno.ENOSPC:
                return
