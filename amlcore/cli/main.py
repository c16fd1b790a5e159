"""The verbs of `aml`: arguments in, a call of the app, what it found printed."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import sys
import warnings
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from amlcore.cli import models
from amlcore.cli.arguments import parser
from amlcore.errors import AmlcoreError, LeftOutWarning, suggest
from amlcore.execution.interrupts import catch_signals
from amlcore.record.status import INTERRUPTED
from amlcore.terminal.output import log, log_none, print_json, print_line, printable

if TYPE_CHECKING:
    from amlcore.runs.run import Run
    from amlcore.workspace import Workspace

MACHINE_ERRORS = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}

_SHOW_WARNING = warnings.showwarning


def main(arguments: Sequence[str]) -> int:
    """Carry out one command line; the exit status is the return value."""
    warnings.showwarning = _show_warning
    try:
        status = _call(list(arguments))
        sys.stdout.flush()
        return status
    except AmlcoreError as error:
        log(f"error: {error}")
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        if error.errno not in MACHINE_ERRORS:
            raise
        return _machine_failed(error)


def _call(arguments: list[str]) -> int:
    match arguments[:1]:
        case ["run"]:
            from amlcore.cli.run import run

            return run(arguments[1:])
        case ["-sc" | "--shell-completion"]:
            from amlcore.cli.completion import complete

            return complete(arguments[1:])
        case ["_drive"]:  # what a detached run's driver is started as
            from amlcore.app.drive import drive

            catch_signals()
            return drive(Path(arguments[1]), log=print_line)
        case ["_allocation"]:  # what a job of Slurm is
            from amlcore.compute.slurm.allocation import Allocation

            Allocation.load(arguments[1])()
            return 0
        case ["_plot"]:  # what a sweep leaves to a process of its own
            from amlcore.execution import sweep_report

            sweep_report.draw(Path(arguments[1]))
            return 0
    aml = parser()
    options, further = aml.parse_known_args(arguments)
    if further and (not hasattr(options, "overrides") or any(item.startswith("-") for item in further)):
        aml.error(f"unrecognized arguments: {' '.join(further)}")
    if further:  # argparse does not take a list up again behind a flag
        options.overrides += further
    return VERBS[options.verb](options)


def _machine_failed(error: OSError) -> int:
    """Say what the machine refused; a reader that has gone is told nothing."""
    if error.errno == errno.EPIPE or error.filename is None:
        # Nothing more can be written there, not even by the interpreter when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if error.errno == errno.EPIPE:
        return 128 + signal.SIGPIPE
    log(f"error: {error.strerror}" + (f": {error.filename}" if error.filename else ""))
    return 1


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print what a list leaves out as a line of our own, any other warning as Python does."""
    if issubclass(category, LeftOutWarning):
        log(f"warning: {message}")
    else:
        _SHOW_WARNING(message, category, filename, lineno, file, line)


def _runs(options: Namespace) -> int:
    from amlcore.app import runs
    from amlcore.terminal import tables

    workspace = _workspace()
    found = runs.list_runs(
        workspace,
        experiment=options.experiment,
        sort=options.sort,
        children=options.children,
        sweeps=options.json or not options.children,
        limit=None if options.all else options.limit,
        log=log,
    )
    if not found.total:
        _log_no_runs(workspace, options.experiment)
    if options.json:
        print_json(found.rows)
    elif found.total:
        tables.runs(found.rows)
        if not options.all and options.limit < found.total:
            log(f"{found.total - options.limit} more; --all lists them")
    return 0


def _log_no_runs(workspace: Workspace, experiment: str | None) -> None:
    known = {folder.parent.name for folder in workspace.run_folders}
    if not known:
        log_none("runs", workspace.path)
    elif experiment is not None:
        log(f"no runs of experiment '{experiment}'; {suggest(experiment, known)}")


def _show(options: Namespace) -> int:
    from amlcore.terminal import tables

    details = _run(options).get_details()
    if options.json:
        print_json(details)
    else:
        tables.details(details)
    return 0


def _logs(options: Namespace) -> int:
    from amlcore.app import runs

    runs.logs(_run(options), file=options.file, follow=options.follow)
    return 0


def _cancel(options: Namespace) -> int:
    from amlcore.app import runs

    run = _run(options)
    log(f"run {run.id} is {runs.cancel(run)}")
    return 0


def _wait(options: Namespace) -> int:
    from amlcore.app import runs

    run = _run(options)
    status = runs.wait(run, log=log)
    log(run.explanation if status else f"run {run.id} is {run.get_status()}")
    return status


def _rerun(options: Namespace) -> int:
    from amlcore.app import runs

    catch_signals()
    return runs.rerun(_workspace(), options.run, detach=options.detach, log=log)


def _resume(options: Namespace) -> int:
    from amlcore.app import sweeps

    catch_signals()
    return sweeps.resume(_workspace(), options.run, detach=options.detach, log=log)


def _ui(options: Namespace) -> int:
    from amlcore.app import dashboard

    catch_signals()
    dashboard.show(_workspace(), options.sweep, port=options.port, log=log)
    return 0


def _env_list(options: Namespace) -> int:
    from amlcore.app.environments import environments
    from amlcore.terminal import tables

    found = environments(_composed_workspace())
    if options.json:
        print_json(found)
    else:
        tables.environments(found)
    return 0


def _env_build(options: Namespace) -> int:
    from amlcore.config import compose

    workspace = _workspace()
    chosen = options.name if "=" in options.name else f"environment={options.name}"
    job = compose([chosen, *options.overrides], root=workspace.path)
    cache = job.workspace.environments_path
    built = job.environment.build(root=workspace.path, cache=cache, log=log, upgrade=options.upgrade)
    print(built.python)
    return 0


def _env_prune(options: Namespace) -> int:
    from amlcore.environment import prune

    removed = prune(_composed_workspace().environments_path, unused_days=options.days)
    log(f"removed {len(removed)} environments")
    return 0


def _doctor(options: Namespace) -> int:
    import shutil

    from amlcore.app import doctor
    from amlcore.config import compose

    workspace = _workspace()
    wanted = any(item.startswith("compute=") for item in options.overrides)
    chosen = [] if wanted else ["compute=slurm" if shutil.which("sbatch") else "compute=local"]
    target = compose([*chosen, *options.overrides], root=workspace.path).compute
    status = 0
    for finding in doctor.examine(workspace, target):
        print(printable(f"{'ok ' if finding.good else 'BAD'} {finding.name}: {finding.words}"), flush=True)
        status = status if finding.good else 1
    if target.kind == "local":
        log("runs go on this machine; for a cluster: aml doctor compute=slurm")
    return status


def _init(options: Namespace) -> int:
    from amlcore.app.init import init

    for path in init(Path(options.folder)):
        print(path)
    log(f"now: cd {shlex.quote(options.folder)} && aml run")
    return 0


def _composed_workspace() -> Workspace:
    from amlcore.config import compose_workspace

    return compose_workspace(_workspace().path)


def _workspace() -> Workspace:
    from amlcore.workspace import Workspace

    return Workspace.at()


def _run(options: Namespace) -> Run:
    from amlcore.app.runs import find_run

    return find_run(_workspace(), options.run)


VERBS: dict[str, Callable[[Namespace], int]] = {
    "runs": _runs,
    "show": _show,
    "logs": _logs,
    "cancel": _cancel,
    "wait": _wait,
    "rerun": _rerun,
    "resume": _resume,
    "register": models.register,
    "models": models.models,
    "deploy": models.deploy,
    "serve": models.serve,
    "ui": _ui,
    "keys": models.keys,
    "env": _env_list,
    "env build": _env_build,
    "env prune": _env_prune,
    "doctor": _doctor,
    "init": _init,
}
