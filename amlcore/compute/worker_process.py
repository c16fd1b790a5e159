"""A worker as a process: its command line, its environment variables, and what it logged."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from amlcore.compute.request import WorkerKind
from amlcore.errors import RunError
from amlcore.worker import main as worker_main
from amlcore.worker.layout import OWNER_VARIABLE, QueueLayout
from amlcore.worker.references import resolved

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)
LOG_CHARACTERS = 2000
"""How much of a log an error message quotes."""


def start_worker(
    kind: WorkerKind, queue: QueueLayout, *, owner: str, pass_fds: Collection[int] = ()
) -> subprocess.Popen[bytes]:
    """Start a worker on `queue` that claims requests as `owner`, in a session of its own.

    Parameters
    ----------
    pass_fds : collection of int
        File descriptors that the worker inherits, and so do the scripts that it forks.
    """
    with open(queue.log, "ab") as log:
        return subprocess.Popen(
            [kind.interpreter, worker_main.__file__, queue.folder],
            env={**worker_environment(kind), OWNER_VARIABLE: owner},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=tuple(pass_fds),
            start_new_session=True,
        )


def worker_environment(kind: WorkerKind) -> dict[str, str]:
    """The environment variables of a worker: this process's, with the environment's folders first, then the run's.

    Raises
    ------
    RunError
        A value refers to an environment variable that is not set here.
    """
    variables = dict(os.environ)
    interpreter = Path(kind.interpreter)
    if interpreter != Path(sys.executable):
        for name in ("PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__"):
            variables.pop(name, None)
        variables["VIRTUAL_ENV"] = str(interpreter.parent.parent)
        variables["PATH"] = os.pathsep.join([str(interpreter.parent), variables.get("PATH", os.defpath)])
    if kind.cores is not None:
        variables.update(dict.fromkeys(THREAD_VARIABLES, str(kind.cores)))
    try:
        return variables | {name: resolved(value) for name, value in kind.environment_variables.items()}
    except LookupError as error:
        raise RunError(f"script.environment_variables: {error.args[0]}") from None


def log_tail(path: str, characters: int = LOG_CHARACTERS) -> str:
    """The end of a log, for a message; empty where there is none."""
    try:
        return Path(path).read_text(errors="replace").strip()[-characters:]
    except FileNotFoundError:
        return ""
