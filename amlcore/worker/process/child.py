"""The process of a script: prepared, executed and left as plain python would do it."""

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
LOST_OUTPUT = 120  # python's own status where the last flush of stdout fails


class ScriptProcess(object):
    """A script file with all that its process is given."""

    def __init__(self, path, *, error, beside, name, module=None, arguments, variables, folder, relative, hidden):
        self.path = path
        self.error = error  # where it is noted by what exception the script ended
        self.beside = beside  # where its own modules lie
        self.name = name
        self.module = module  # its name, where it is run as by `python -m`
        self.arguments = arguments
        self.variables = variables
        self.folder = folder
        self.relative = relative
        self.hidden = hidden

    def run(self, streams, mask, claimed):
        """Turn this process into that of the script; `streams` are its stdout and stderr. Does not return.

        The script begins when a byte comes from the pipe `claimed`: should its supervisor be killed before it has
        written whose process this is, nobody would know what to end.
        """
        status = 1
        try:
            os.setsid()
            fail_when_full()  # a script is told that the disk is full
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
        """Keep what is missing by its name: whoever explains the run's end should not have to read a traceback."""
        facts = {"type": type(error).__name__}
        for attribute in ("name", "filename"):
            value = getattr(error, attribute, None)
            if isinstance(value, str):
                facts[attribute] = value
        try:
            write_json(self.error, facts)
        except Exception:
            pass  # it is said by the script's own traceback too

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
    """Point the descriptors 0, 1 and 2 and python's objects on them at the files of this run."""
    empty = os.open(os.devnull, os.O_RDONLY)
    for number, handle in enumerate([empty] + streams):
        os.dup2(handle, number)
        os.close(handle)
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
            continue
        # Python 3.6 cannot change a stream.
        raw = io.FileIO(number, "w", closefd=False)
        raw.name = "<{}>".format(name)
        stream = io.TextIOWrapper(
            io.BufferedWriter(raw), encoding=stream.encoding, errors=stream.errors, line_buffering=True
        )
        setattr(sys, name, stream)
        setattr(sys, "__{}__".format(name), stream)


def _reseed():
    """Forks of one worker would draw the same random numbers."""
    for name in ("random", "numpy.random"):
        if name in sys.modules:
            sys.modules[name].seed()


def leave(status, folder, loaded):
    """Do what the script can notice of python's own way to end, and leave out the rest, which takes longer than it.

    Parameters: `folder` is that of the script's own modules; `loaded` was the last module before it began.

    Returns the exit status, or ends the process by the signal that a negative one stands for.
    """
    begun = sys.modules.get("amlcore.worker.script.script_runs")
    if begun is not None and status:
        begun.fail_script("the script ended with exit status {}".format(status))
    for end in (vars(threading)["_shutdown"], atexit._run_exitfuncs):
        try:
            end()
        except BaseException:
            pass  # reported by python itself, without any effect on the status
    if begun is not None and begun.script_failed() and status == 0:
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
    """Lies among a module's globals: as long as it lives, something still holds them."""


def _mark(module):
    mark = module.__dict__["__amlcore_mark__"] = _Mark()
    return weakref.ref(mark)


def _last_module():
    return list(sys.modules)[-1] if sys.version_info < (3, 8) else next(reversed(sys.modules))


def _loaded_since(last):
    """The modules that were loaded after the one of that name, the newest first.

    To touch the others, even to read their names, would copy the memory that they share with the worker.
    """
    for name in reversed(list(sys.modules) if sys.version_info < (3, 8) else sys.modules):
        if name == last:
            return
        yield name


def _drop_modules(folder, loaded):
    """Let go of the script's own modules, so that its objects end as they do when python ends."""
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        sys.__dict__.pop(name, None)
    later = dict.fromkeys(["__main__", "__mp_main__"] + list(_loaded_since(loaded)))
    own = [name for name in later if _is_own(sys.modules.get(name), folder)]
    marks = [_mark(sys.modules.pop(name)) for name in own]
    gc.collect()
    held = [known() for known in marks if known() is not None]
    if not held:
        return
    if threading.active_count() > 1:  # daemon threads still use what they find there
        _flush_files()
        return
    for kept in held:
        for namespace in gc.get_referrers(kept):
            if isinstance(namespace, dict) and namespace.get("__amlcore_mark__") is kept:
                _clear(namespace)
    gc.collect()


def _is_own(module, folder):
    if not isinstance(module, types.ModuleType):
        return False
    path = module.__dict__.get("__file__")
    return isinstance(path, str) and os.path.abspath(path).startswith(folder + os.sep)


def _clear(namespace):
    """Empty the globals of a module in python's own order."""
    for private in (True, False):
        for name in list(namespace):
            if name != "__builtins__" and (name.startswith("_") and not name.startswith("__")) == private:
                namespace[name] = None


def _flush_files():
    for thing in gc.get_objects():
        if type(thing) in (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom):
            try:
                thing.flush()
            except (OSError, ValueError):
                pass


def _flush():
    """Flush stdout and stderr; False where what the script printed is lost."""
    kept = True
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not getattr(stream, "closed", False):
                stream.flush()
        except BaseException:
            kept = stream is not sys.stdout and kept
    return kept
