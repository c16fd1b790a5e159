"""The folder of a local run: what a script records that is started by hand, outside of any run."""

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
    """A path whose folder is created when the path is first needed, so a script that records nothing leaves none."""

    _path = None  # type: str | None

    def __init__(self):
        # type: () -> None
        self._lock = threading.Lock()

    @property
    def exists(self):
        # type: () -> bool
        return self._path is not None

    def __fspath__(self):
        # type: () -> str
        with self._lock:
            if self._path is None:
                self._path = _start()
            return self._path

    def __reduce__(self):
        # type: () -> tuple[typing.Any, ...]
        return str, (os.fspath(self),)  # another process must record in the same folder


LOCAL_FOLDER = LocalFolder()
"""One for a process, whatever class of Run it is asked for by."""


def _start():
    # type: () -> str
    experiment = script_name()
    _, folder = create_run_folder(find_root(os.getcwd()) or os.getcwd(), experiment)
    script_runs.start(folder, experiment=experiment, offline=True)
    os.environ[RUN_VARIABLE] = folder  # the processes that the script starts record here too
    sys.stderr.write("amlcore: no run is active; logging to {}\n".format(os.path.relpath(folder)))
    return folder


def script_name():
    # type: () -> str
    """The experiment of a local run: the one that `aml run` would give to the same script."""
    path = getattr(sys.modules["__main__"], "__file__", None)
    if path is None:
        return "interactive"
    stem = os.path.splitext(os.path.basename(path))[0]
    if stem == "__main__":  # python -m package
        stem = os.path.basename(os.path.dirname(os.path.abspath(path)))
    return experiment_of(stem)
