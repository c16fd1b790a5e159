"""The SupervisorProcess: a process beside the worker that supervises its runs, one after the other.

A fork of a process with many libraries loaded takes milliseconds, so that this one is forked once, not for each run.
When the worker is killed it goes on with its run, and ends then. When it is killed itself, the worker sees that at
once.
"""

import gc
import json
import os
import signal
import traceback

from amlcore.worker.files import read_json
from amlcore.worker.layout import RunLayout
from amlcore.worker.process.processes import adopt_orphans
from amlcore.worker.process.supervisor import Supervisor
from amlcore.worker.process.watch import AWAITED

DONE = b"d"
INTERRUPTED = b"i"
"""The run has no result, since it is to be started again."""

KILLED = b""
"""The keeper has ended, and left a run behind that may have no result."""


class SupervisorProcess(object):
    """Starts the process where there is none, and hands it the requests that the worker has claimed."""

    def __init__(self, *, relative, log):
        self._relative = relative
        self._log = log
        self._pid = None  # type: int | None
        self._requests = -1  # this end of two pipes
        self._answers = -1

    def supervise(self, path, hidden):
        """Have the request in the file `path` carried out; DONE, INTERRUPTED or KILLED comes back.

        Parameters: `hidden` are the loaded modules that the script must not find.
        """
        line = json.dumps({"path": path, "hidden": sorted(hidden)}).encode("ascii") + b"\n"
        if self._pid is None or not self._hand(line):
            self.close()
            self._start()
            self._hand(line)
        answer = os.read(self._answers, 1)
        if answer == KILLED:
            self.close()
        return answer

    def close(self):
        """Let the process end, and wait for it."""
        if self._pid is not None:
            os.close(self._requests)
            os.close(self._answers)
            os.waitpid(self._pid, 0)
            self._pid = None

    def _hand(self, line):
        try:
            while line:
                line = line[os.write(self._requests, line) :]
        except BrokenPipeError:
            return False
        return True

    def _start(self):
        requests, self._requests = os.pipe()
        self._answers, answers = os.pipe()
        self._pid = os.fork()
        if self._pid:
            os.close(requests)
            os.close(answers)
            return
        status = 1
        try:
            os.close(self._requests)
            os.close(self._answers)
            self._keep(requests, answers)
            status = 0
        except BaseException:
            self._log(traceback.format_exc())
        finally:
            os._exit(status)

    def _keep(self, requests, answers):
        """Carry out what is handed over until the worker lets go of its ends, or is gone."""
        gc.disable()
        os.setsid()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
        adopt_orphans()
        private = (requests, answers)
        while True:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))  # whoever ends it now means no run
            line = _line(requests)
            signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
            if not line:
                return
            handed = json.loads(line.decode("ascii"))
            answer = self._carry_out(read_json(handed["path"]), handed["hidden"], mask=mask, private=private)
            if answer == KILLED:
                return  # a keeper that lives is a sign that the result is still to come
            if answer == DONE:
                os.unlink(handed["path"])
                if signal.SIGTERM in signal.sigpending():
                    return  # it came after the script had ended, and must not end the next one
            try:
                os.write(answers, answer)
            except BrokenPipeError:
                return  # the worker was killed meanwhile
            gc.collect(0)  # what a run leaves lies in circles; what was there before it is older, and is not touched

    def _carry_out(self, request, hidden, *, mask, private):
        supervisor = Supervisor(
            request,
            read_json(request["manifest"]),
            relative=self._relative,
            hidden=hidden,
            mask=mask,
            private=private,
            log=self._log,
        )
        if not supervisor.run():
            return INTERRUPTED
        return DONE if os.path.exists(RunLayout(request["folder"]).attempt(request["attempt"]).result) else KILLED


def _line(handle):
    """What comes before the end of a line, or nothing at the end of a pipe; no file object, which forks would share."""
    read = [b""]
    while not read[-1].endswith(b"\n"):
        read.append(os.read(handle, 65536))
        if not read[-1]:
            return b""
    return b"".join(read)
