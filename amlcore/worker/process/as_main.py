"""Executes a script or a module as `__main__`, with the messages and exit status that python gives it."""

import builtins
import signal
import sys
import types
from importlib.machinery import SourceFileLoader


def execute(path, note):
    """Execute the file at `path` as `__main__`; `note` is called with an exception that ends it.

    Returns the exit status that python would end with.
    """
    try:
        with open(path, "rb") as stream:
            source = stream.read()
    except OSError as error:
        message = "{}: can't open file {!r}: [Errno {}] {}\n"
        sys.stderr.write(message.format(sys.executable, path, error.errno, error.strerror))
        return 2
    return _run_as_main(lambda: compile(source, path, "exec", 0, True), _main_module(path), note)


def execute_module(name, note):
    """Execute a module as `__main__`, as `python -m` does; `note` is called with an exception that ends it.

    Returns the exit status that python would end with.
    """
    import runpy

    details = vars(runpy)
    sys.argv[0] = "-m"
    try:
        _, spec, code = details["_get_module_details"](name, details["_Error"])
    except details["_Error"] as error:
        sys.stderr.write("{}: {}\n".format(sys.executable, error))
        return 1
    except SystemExit as error:
        return _exit_status(error)
    except BaseException as error:  # raised by a parent package
        _without(error, (__file__, runpy.__file__, "<frozen "))
        note(error)
        return _report(error)
    sys.argv[0] = spec.origin
    module = _main_module(spec.origin)
    module.__dict__.update(
        __spec__=spec, __package__=spec.parent, __loader__=spec.loader, __cached__=getattr(spec, "cached", None)
    )
    return _run_as_main(lambda: code, module, note)


def _run_as_main(compiled, module, note):
    try:
        exec(compiled(), module.__dict__)
    except SystemExit as error:
        return _exit_status(error)
    except BaseException as error:
        _without(error, (__file__,))
        note(error)
        return _report(error)
    return 0


def _without(error, files):
    """Remove the first frames of a traceback, which are not of the script."""
    while error.__traceback__ and error.__traceback__.tb_frame.f_code.co_filename.startswith(files):
        error.__traceback__ = error.__traceback__.tb_next


def _main_module(path):
    module = types.ModuleType("__main__")
    module.__file__ = path
    module.__loader__ = SourceFileLoader("__main__", path)
    module.__dict__.update({"__builtins__": builtins, "__cached__": None})
    if sys.version_info < (3, 14):
        module.__dict__.update({"__annotations__": {}})
    # multiprocessing looks for the second name when it spawns.
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module
    return module


def _exit_status(error):
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        # CPython replaces what does not fit a C long by -1.
        return error.code & 0xFF if -(2**63) <= error.code < 2**63 else 0xFF
    sys.stderr.write("{}\n".format(error.code))
    return 1


def _report(error):
    """Print an exception that ended the script, as python does."""
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
    try:
        sys.stdout.flush()
        sys.excepthook(type(error), error, error.__traceback__)
    except SystemExit as ended:
        return _exit_status(ended)
    except BaseException as second:
        sys.stderr.write("Error in sys.excepthook:\n")
        sys.__excepthook__(type(second), second, second.__traceback__ and second.__traceback__.tb_next)
        sys.stderr.write("\nOriginal exception was:\n")
        sys.__excepthook__(type(error), error, error.__traceback__)
    if isinstance(error, KeyboardInterrupt) and sys.version_info >= (3, 8):
        return -signal.SIGINT
    return 1
