"""The verbs for runs and sweeps that were submitted: runs, show, logs, cancel, wait, rerun, resume, ui."""

from __future__ import annotations

import gc
from argparse import Namespace
from typing import TYPE_CHECKING

from amlcore.cli import aliases
from amlcore.cli.parser import Parser, Verb, add_json, add_run, port, positive
from amlcore.errors import RequestError, suggest
from amlcore.terminal.output import log, log_none, print_json
from amlcore.workspace import Workspace

if TYPE_CHECKING:
    from amlcore.runs.run import Run


FILTER_HELP = """\
A filter compares metrics, parameters, tags and fields of runs (id, name, note, experiment, script, user, host, model,
parent, state, reason, kind, archived, created, started, ended, age, duration, attempt, trial):

  aml runs 'accuracy > 0.9 and max_depth < 5' --sort accuracy
  aml runs 'user = anna and created > 7d and state = Completed'
  aml runs 'params.criterion in (gini, entropy) and not tags.team is null'
  aml runs 'note ~ baseline or `my metric` >= 1e-3'
"""


def _add_runs(parser: Parser) -> None:
    parser.add_argument(
        "where", metavar="FILTER", nargs="*", help="only the runs that this describes, such as 'accuracy > 0.9'"
    )
    parser.add_argument("--experiment", metavar="NAME", help="only the runs of this experiment")
    parser.add_argument("--sort", metavar="NAME", help="sort by a metric, a parameter or a field, the highest first")
    parser.add_argument("--ascending", action="store_true", help="sort with the lowest first")
    parser.add_argument(
        "--children", action="store_true", help="list child runs too, and the trials of each sweep instead of the sweep"
    )
    parser.add_argument("--archived", action="store_true", help="list archived runs too")
    number = parser.add_mutually_exclusive_group()
    number.add_argument("--limit", type=positive, default=20, help="how many runs to list (default: %(default)s)")
    number.add_argument("--all", action="store_true", help="list every run")
    add_json(parser)


def runs(options: Namespace) -> int:
    from amlcore.app.run_list import list_runs
    from amlcore.terminal import tables

    gc.disable()  # the rows of thousands of runs are no garbage, and the process ends with this list
    if options.ascending and options.sort is None:
        raise RequestError("--ascending: give the name to sort by with --sort NAME")
    workspace = Workspace.at()
    where = _filter(options.where)
    listing = list_runs(
        workspace,
        where,
        experiment=options.experiment,
        sort=options.sort,
        ascending=options.ascending,
        children=options.children,
        sweeps=options.json or not options.children,
        archived=options.archived,
        limit=None if options.all else options.limit,
        log=log,
    )
    if not listing.rows:
        _log_no_runs(workspace, where, options.experiment)
    if options.json:
        print_json(listing.rows)
    elif listing.rows:
        tables.runs(listing.rows)
        if listing.further:
            log(f"{listing.further} more; list them with --all")
    return 0


def _filter(words: list[str]) -> str | None:
    """The filter in the words of a command line, in one word or in several."""
    if len(words) == 1 and words[0].strip():
        from amlcore.index import looks_like_filter

        if not looks_like_filter(words[0]):
            raise RequestError(
                f"'{words[0]}' is not a filter such as 'accuracy > 0.9'; "
                f"one run is shown by `aml show`, an experiment listed with --experiment (see `aml runs --help`)"
            )
    return " ".join(words) if words else None


def _log_no_runs(workspace: Workspace, where: str | None, experiment: str | None) -> None:
    experiments = {folder.parent.name for folder in workspace.run_folders}
    if not experiments:
        log_none("runs", workspace.path)
    elif experiment is not None and experiment not in experiments:
        log(f"no runs of experiment '{experiment}'; {suggest(experiment, experiments)}")
    else:
        log("no run matches" if where else "no runs to list; --archived and --children list further ones")


def _add_show(parser: Parser) -> None:
    add_run(parser)
    add_json(parser)


def show(options: Namespace) -> int:
    from amlcore.terminal import tables

    if ":" in options.run or "@" in options.run:  # ModelReference says the same, but takes a while to import
        return aliases.show(Namespace(model=options.run, json=options.json))
    details = _find(options).get_details()
    if options.json:
        print_json(details)
    else:
        tables.details(details)
    return 0


def _add_logs(parser: Parser) -> None:
    add_run(parser)
    parser.add_argument("file", metavar="FILE", nargs="?", help="a file that the script wrote to ./logs")
    parser.add_argument("--follow", action="store_true", help="keep printing until the run has ended")


def logs(options: Namespace) -> int:
    from amlcore.app import runs

    runs.logs(_find(options), file=options.file, follow=options.follow)
    return 0


def cancel(options: Namespace) -> int:
    from amlcore.app import runs

    run = _find(options)
    log(f"run {run.id} is {runs.cancel(run)}")
    return 0


def wait(options: Namespace) -> int:
    from amlcore.app import runs

    run = _find(options)
    status = runs.wait(run, log=log)
    log(run.explanation if status else f"run {run.id} is {run.get_status()}")
    return status


def _add_rerun(parser: Parser) -> None:
    add_run(parser)
    parser.add_argument("--detach", action="store_true", help="return at once and run in the background")


def rerun(options: Namespace) -> int:
    from amlcore.app import runs
    from amlcore.execution.interrupts import catch_signals

    catch_signals()
    return runs.rerun(Workspace.at(), options.run, detach=options.detach, log=log)


def _add_resume(parser: Parser) -> None:
    add_run(parser, "SWEEP")
    parser.add_argument("--detach", action="store_true", help="return at once and run in the background")


def resume(options: Namespace) -> int:
    from amlcore.app import sweeps
    from amlcore.execution.interrupts import catch_signals

    catch_signals()
    return sweeps.resume(Workspace.at(), options.run, detach=options.detach, log=log)


def _add_ui(parser: Parser) -> None:
    add_run(parser, "SWEEP", is_required=False)
    parser.add_argument("--port", type=port, default=8080, help="the port to listen on (default: %(default)s)")


def ui(options: Namespace) -> int:
    from amlcore.execution.interrupts import catch_signals

    catch_signals()
    if options.run is None:
        from amlcore.config import compose_workspace
        from amlcore.page import launch

        launch.serve(compose_workspace(Workspace.at().path), port=options.port, log=log)
    from amlcore.app import dashboard

    dashboard.show(Workspace.at(), options.run, port=options.port, log=log)
    return 0


def _find(options: Namespace) -> Run:
    from amlcore.app.runs import find_run

    return find_run(Workspace.at(), options.run)


VERBS = {
    "runs": Verb("list runs, newest first, or find them by a filter", runs, _add_runs, FILTER_HELP),
    "show": Verb("show everything about a run, or a version of a model", show, _add_show),
    "logs": Verb("print the output of a run", logs, _add_logs),
    "cancel": Verb("cancel a run and its children", cancel, add_run),
    "wait": Verb("wait until a run has ended, and exit with its exit status", wait, add_run),
    "rerun": Verb("run again with the same snapshot, lock, configuration and inputs", rerun, _add_rerun),
    "resume": Verb("resume a canceled or interrupted sweep", resume, _add_resume),
    "ui": Verb("show all runs in the browser, in MLflow's page; or one sweep, in optuna-dashboard", ui, _add_ui),
}
