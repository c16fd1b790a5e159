"""The SupervisorProcess: a process next to the worker that supervises its runs, one after the other.

Forking a process with many libraries loaded takes milliseconds, so this one is forked once and not for each run. If the
worker is killed, it finishes its run and ends. If it is killed itself, the worker notices at once.
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
"""The run has no result because it is to be started again."""

KILLED = b""
"""The process ended, and may have left a run without a result."""


class SupervisorProcess(object):
    """Starts the process when it is needed, and sends it the requests that the worker has claimed."""

    def __init__(self, *, relative, log):
        self._relative = relative
        self._log = log
        self._pid = None  # type: int | None
        self._requests = -1  # the worker's ends of two pipes
        self._answers = -1

    def supervise(self, path, hidden):
        """Have the request in the file `path` carried out; returns DONE, INTERRUPTED or KILLED.

        Parameters: `hidden` are the loaded modules that the script must not find.
        """
        line = json.dumps({"path": path, "hidden": sorted(hidden)}).encode("ascii") + b"\n"
        if self._pid is None or not self._send(line):
            self.close()
            self._start()
            self._send(line)
        answer = os.read(self._answers, 1)
        if answer == KILLED:
            self.close()
        return answer

    def close(self):
        """End the process and wait for it."""
        if self._pid is not None:
            os.close(self._requests)
            os.close(self._answers)
            os.waitpid(self._pid, 0)
            self._pid = None

    def _send(self, line):
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
            self._serve(requests, answers)
            status = 0
        except BaseException:
            self._log(traceback.format_exc())
        finally:
            os._exit(status)

    def _serve(self, requests, answers):
        """Carry out the requests that arrive, until the worker closes the pipes or exits."""
        gc.disable()
        os.setsid()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
        adopt_orphans()
        private = (requests, answers)
        while True:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))  # between runs it may end at once
            line = _line(requests)
            signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
            if not line:
                return
            message = json.loads(line.decode("ascii"))
            answer = self._carry_out(read_json(message["path"]), message["hidden"], mask=mask, private=private)
            if answer == KILLED:
                return  # while this process lives, a result is still expected
            if answer == DONE:
                os.unlink(message["path"])
                if signal.SIGTERM in signal.sigpending():
                    return  # it arrived after the script had ended, and must not end the next one
            try:
                os.write(answers, answer)
            except BrokenPipeError:
                return  # the worker has been killed
            gc.collect(0)  # frees the cycles of this run; older objects are not touched

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
    """A line from a pipe, empty at its end; without a file object, whose buffer forks would share."""
    chunks = [b""]
    while not chunks[-1].endswith(b"\n"):
        chunks.append(os.read(handle, 65536))
        if not chunks[-1]:
            return b""
    return b"".join(chunks)
