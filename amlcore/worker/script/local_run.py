"""The LocalRun: what a script records that is started by hand, outside of any run."""

import os
import sys

from amlcore.worker.layout import RUN_VARIABLE, create_run_folder, experiment_of
from amlcore.worker.root import find_root
from amlcore.worker.script import script_runs
from amlcore.worker.script.context import Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401


_made = []  # type: list[str]
"""The folder of this process's local run, once there is one."""


class LocalRun(Run):
    """A run without a driver; its folder is made when the first thing is recorded in it."""

    _kind = Run

    def __init__(self):
        # type: () -> None
        """A process has one local run, however often it is asked for."""

    def __reduce__(self):
        # type: () -> tuple[typing.Any, ...]
        return self._kind, (self.folder,)

    @property
    def folder(self):
        # type: () -> str
        if not _made:
            experiment = script_name()
            _, folder = create_run_folder(find_root(os.getcwd()) or os.getcwd(), experiment)
            _made.append(folder)
            script_runs.begin(folder, experiment=experiment, offline=True)
            os.environ[RUN_VARIABLE] = folder  # what the script starts records here too
            where = os.path.relpath(folder)
            sys.stderr.write("amlcore: outside of a run; what this script logs is kept in {}\n".format(where))
        return _made[0]

    @property
    def inputs(self):
        # type: () -> dict[str, str]
        return {}

    def get_children(self):
        # type: () -> list[typing.Any]
        return super(LocalRun, self).get_children() if _made else []

    def get_status(self):
        # type: () -> str
        return super(LocalRun, self).get_status() if _made else "Running"

    def complete(self):
        # type: () -> None
        if _made:
            super(LocalRun, self).complete()

    def __repr__(self):
        # type: () -> str
        return "LocalRun({})".format(os.path.basename(_made[0]) if _made else "")

    def _facts(self):
        # type: () -> dict[str, typing.Any]
        return super(LocalRun, self)._facts() if _made else {"experiment": script_name()}

    def _records(self):
        # type: () -> list[dict[str, typing.Any]]
        return super(LocalRun, self)._records() if _made else []

    def _last(self, kind):
        # type: (str) -> dict[str, typing.Any]
        return super(LocalRun, self)._last(kind) if _made else {}

    def _other(self, folder):
        # type: (str) -> Run
        return self._kind(folder)


def local_run(kind):
    # type: (type[Run]) -> typing.Any
    """The local run of this process, as an instance of `kind` too."""
    return LocalRun() if kind is Run else type("LocalRun", (LocalRun, kind), {"_kind": kind})()


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
