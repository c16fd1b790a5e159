"""The folder of a local run: the run of a script that is started by hand."""

import os
import sys
import threading

from amlcore.worker.layout import RUN_VARIABLE
from amlcore.worker.root import find_root
from amlcore.worker.run_names import create_run_folder, experiment_of
from amlcore.worker.script import script_runs

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401


class LocalFolder(object):
    """A path whose folder is created when the path is first read, so a script that logs nothing leaves none."""

    _path = None  # type: str | None

    def __init__(self):
        # type: () -> None
        self._locks = {}  # type: dict[int, threading.Lock]  # by process: a fork may copy one that is held

    @property
    def exists(self):
        # type: () -> bool
        return self._path is not None

    def __fspath__(self):
        # type: () -> str
        with self._locks.setdefault(os.getpid(), threading.Lock()):
            if self._path is None:
                self._path = _start()
            return self._path

    def __reduce__(self):
        # type: () -> tuple[typing.Any, ...]
        return str, (os.fspath(self),)  # unpickled elsewhere, it must be the same folder


LOCAL_FOLDER = LocalFolder()
"""One for each process, shared by all classes of Run."""


def _start():
    # type: () -> str
    experiment = script_name()
    _, folder = create_run_folder(find_root(os.getcwd()) or os.getcwd(), experiment)
    script_runs.start(folder, experiment=experiment, offline=True)
    os.environ[RUN_VARIABLE] = folder  # child processes of the script log to it too
    sys.stderr.write("amlcore: no run is active; logging to {}\n".format(os.path.relpath(folder)))
    return folder


def script_name():
    # type: () -> str
    """The experiment of a local run, the same as `aml run` would choose for the script."""
    path = getattr(sys.modules["__main__"], "__file__", None)
    if path is None:
        return "interactive"
    stem = os.path.splitext(os.path.basename(path))[0]
    if stem == "__main__":  # python -m package
        stem = os.path.basename(os.path.dirname(os.path.abspath(path)))
    return experiment_of(stem)
