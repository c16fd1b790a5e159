"""The process of a script: set up, executed and ended as plain python does it."""

import atexit
import gc
import io
import os
import signal
import sys
import threading
import traceback
import types
import weakref

from amlcore.worker.files import write_json
from amlcore.worker.full_disk import fail_when_full
from amlcore.worker.process.as_main import execute, execute_module
from amlcore.worker.process.preloading import forget

IGNORABLE = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGCHLD")
LOST_OUTPUT = 120  # python's own status if the last flush of stdout fails


class ScriptProcess(object):
    """A script with all that its process needs."""

    def __init__(self, path, *, error, beside, name, module=None, arguments, variables, folder, relative, hidden):
        self.path = path
        self.error = error  # the file for the exception that ends the script
        self.beside = beside  # the folder of its own modules
        self.name = name
        self.module = module  # its module name if it is run as by `python -m`
        self.arguments = arguments
        self.variables = variables
        self.folder = folder
        self.relative = relative
        self.hidden = hidden

    def run(self, streams, mask, claimed):
        """Turn this process into that of the script; `streams` are its stdout and stderr. Does not return.

        The script starts when a byte arrives from the pipe `claimed`, after its supervisor has recorded this process:
        if the supervisor were killed before, nobody would know which process to end.
        """
        status = 1
        try:
            os.setsid()
            fail_when_full()  # a script gets the error of a full disk at once
            gc.enable()
            _reset_signals(mask)
            os.chdir(self.folder)
            self._set_environment()
            _set_streams(streams)
            sys.argv[:] = [self.name] + self.arguments
            own = [os.path.join(self.folder, entry) for entry in self.relative]
            sys.path[:0] = [self.beside] + [os.path.normpath(entry) for entry in own]
            _reseed()
            forget(self.hidden)
            loaded = _last_module()
            if not os.read(claimed, 1):
                return
            os.close(claimed)
            if self.module is None:
                status = execute(self.path, self._note)
            else:
                status = execute_module(self.module, self._note)
            status = leave(status, self.folder, loaded)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status & 0xFF)

    def _note(self, error):
        """Record the exception, so that a hint about the run's end need not parse its traceback."""
        facts = {"type": type(error).__name__}
        for attribute in ("name", "filename"):
            value = getattr(error, attribute, None)
            if isinstance(value, str):
                facts[attribute] = value
        try:
            write_json(self.error, facts)
        except Exception:
            pass  # the traceback on stderr says it too

    def _set_environment(self):
        for name, value in self.variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if "PWD" in os.environ:
            os.environ["PWD"] = self.folder
        if "multiprocessing.process" in sys.modules:
            vars(sys.modules["multiprocessing.process"])["ORIGINAL_DIR"] = self.folder


def _reset_signals(mask):
    for name in IGNORABLE:
        number = getattr(signal, name)
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _set_streams(streams):
    """Redirect descriptors 0, 1 and 2, and python's streams on them, to the files of this run."""
    empty = os.open(os.devnull, os.O_RDONLY)
    for number, handle in enumerate([empty] + streams):
        os.dup2(handle, number)
        os.close(handle)
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
            continue
        # Python 3.6 cannot reconfigure a stream.
        raw = io.FileIO(number, "w", closefd=False)
        raw.name = "<{}>".format(name)
        stream = io.TextIOWrapper(
            io.BufferedWriter(raw), encoding=stream.encoding, errors=stream.errors, line_buffering=True
        )
        setattr(sys, name, stream)
        setattr(sys, "__{}__".format(name), stream)


def _reseed():
    """Reseed, since forks of one worker would draw the same random numbers."""
    for name in ("random", "numpy.random"):
        if name in sys.modules:
            sys.modules[name].seed()


def leave(status, folder, loaded):
    """Do what a script can observe of python's shutdown, and skip the rest, which takes longer than a short script.

    Parameters: `folder` holds the script's own modules; `loaded` was the last module loaded before it started.

    Returns the exit status, or ends the process by the signal that a negative status stands for.
    """
    script_runs = sys.modules.get("amlcore.worker.script.script_runs")
    if script_runs is not None and status:
        script_runs.fail_script("the script ended with exit status {}".format(status))
    for end in (vars(threading)["_shutdown"], atexit._run_exitfuncs):
        try:
            end()
        except BaseException:
            pass  # python has printed it; it does not change the status
    if script_runs is not None and script_runs.script_failed() and status == 0:
        status = 1  # run.fail() was called
    _flush()
    _drop_modules(folder, loaded)
    if not _flush():
        status = LOST_OUTPUT
    if status < 0 and -status == signal.SIGINT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    return status


class _Mark(object):
    """A member of a module's globals: while it lives, something still holds them."""


def _mark(module):
    mark = module.__dict__["__amlcore_mark__"] = _Mark()
    return weakref.ref(mark)


def _last_module():
    return list(sys.modules)[-1] if sys.version_info < (3, 8) else next(reversed(sys.modules))


def _loaded_since(last):
    """The modules that were loaded after module `last`, newest first.

    Touching the others, even to read their names, would copy memory that is shared with the worker.
    """
    for name in reversed(list(sys.modules) if sys.version_info < (3, 8) else sys.modules):
        if name == last:
            return
        yield name


def _drop_modules(folder, loaded):
    """Drop the script's own modules, so that its objects are finalized as when python exits."""
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        sys.__dict__.pop(name, None)
    later = dict.fromkeys(["__main__", "__mp_main__"] + list(_loaded_since(loaded)))
    own = [name for name in later if _is_own(sys.modules.get(name), folder)]
    marks = [_mark(sys.modules.pop(name)) for name in own]
    gc.collect()
    alive = [mark() for mark in marks if mark() is not None]
    if not alive:
        return
    if threading.active_count() > 1:  # daemon threads may still use these globals
        _flush_files()
        return
    for mark in alive:
        for namespace in gc.get_referrers(mark):
            if isinstance(namespace, dict) and namespace.get("__amlcore_mark__") is mark:
                _clear(namespace)
    gc.collect()


def _is_own(module, folder):
    if not isinstance(module, types.ModuleType):
        return False
    path = module.__dict__.get("__file__")
    return isinstance(path, str) and os.path.abspath(path).startswith(folder + os.sep)


def _clear(namespace):
    """Clear the globals of a module in the order that python uses."""
    for private in (True, False):
        for name in list(namespace):
            if name != "__builtins__" and (name.startswith("_") and not name.startswith("__")) == private:
                namespace[name] = None


def _flush_files():
    for stream in gc.get_objects():
        if type(stream) in (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom):
            try:
                stream.flush()
            except (OSError, ValueError):
                pass


def _flush():
    """Flush stdout and stderr; False if output to stdout is lost."""
    is_whole = True
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not getattr(stream, "closed", False):
                stream.flush()
        except BaseException:
            is_whole = stream is not sys.stdout and is_whole
    return is_whole
