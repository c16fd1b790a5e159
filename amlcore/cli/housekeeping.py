"""The verbs that keep house: rm, archive, prune, du."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError, Namespace
from typing import TYPE_CHECKING

from amlcore.cli.parser import Parser, Verb, add_json, duration_s, positive, run_id
from amlcore.errors import RequestError
from amlcore.terminal.output import log, print_json
from amlcore.workspace import Workspace

if TYPE_CHECKING:
    from amlcore.app.housekeeping import Change, Confirm, Selection
    from amlcore.housekeeping.prune import Prune

KINDS = ("outputs", "checkpoints", "snapshots", "environments", "trash")


def _add_selection(parser: Parser) -> None:
    parser.add_argument(
        "runs", metavar="RUN", nargs="*", type=run_id, help="an id, the beginning of one, a name, or `latest`"
    )
    parser.add_argument("--where", metavar="FILTER", help="the runs that match, as in aml runs 'FILTER'")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")


def _selection(options: Namespace) -> Selection:
    from amlcore.app.housekeeping import Selection

    return Selection(options.runs, options.where)


def _add_rm(parser: Parser) -> None:
    _add_selection(parser)
    parser.add_argument(
        "--undo", action="store_true", help="restore the runs that you removed last, or those that are named"
    )
    parser.add_argument("--now", action="store_true", help="delete for good, without the trash")
    _add_yes(parser)
    add_json(parser)


def rm(options: Namespace) -> int:
    from amlcore.app import housekeeping

    workspace = Workspace.at()
    if options.undo:
        if options.now or options.where:
            raise RequestError(f"--undo and {'--now' if options.now else '--where'} exclude each other")
        change = housekeeping.restore_runs(workspace, options.runs, dry_run=options.dry_run, log=log)
        return _report(change, "restored", options)
    change = housekeeping.remove_runs(
        workspace,
        _selection(options),
        for_good=options.now,
        dry_run=options.dry_run,
        confirm=_confirm(options),
        log=log,
    )
    undo = "" if options.now or options.dry_run or not change.runs else "; restore them with: aml rm --undo"
    return _report(change, "removed", options, more=undo)


def _add_archive(parser: Parser) -> None:
    _add_selection(parser)
    parser.add_argument("--undo", action="store_true", help="list these runs again")
    add_json(parser)


def archive(options: Namespace) -> int:
    from amlcore.app import housekeeping

    change = housekeeping.archive_runs(
        Workspace.at(), _selection(options), archived=not options.undo, dry_run=options.dry_run
    )
    return _report(change, "unarchived" if options.undo else "archived", options)


def _report(change: Change, verb: str, options: Namespace, *, more: str = "") -> int:
    """Print what was done to which runs."""
    from amlcore.app.housekeeping import count, megabytes

    if options.json:
        print_json(change.to_json(verb, dry_run=options.dry_run))
        return 0
    for run in change.runs:
        print(run)
    for use in change.kept:
        log(f"kept: run {use['id']} {use['reason']}")
    for note in change.notes:
        log(note)
    size = "" if change.size_bytes is None else f" ({megabytes(change.size_bytes)})"
    log(f"{'would be ' if options.dry_run else ''}{verb}: {count(change.runs, 'run')}{size}{more}")
    return 0


def _add_prune(parser: Parser) -> None:
    _add_selection(parser)
    parser.add_argument(
        "--what",
        metavar="KIND,KIND…",
        type=_kinds,
        default=("snapshots", "environments", "trash"),
        help=f"any of {', '.join(KINDS)} (default: snapshots,environments,trash)",
    )
    parser.add_argument(
        "--older",
        metavar="AGE",
        type=duration_s,
        help="only files of runs that ended this long ago, such as 90d; "
        "only environments that nobody used, and runs that have been in the trash, for as long (default: 30d)",
    )
    parser.add_argument(
        "--keep-best",
        metavar="N",
        type=positive,
        help="keep the files of the N best completed trials of each sweep, and with --metric of the N best runs of "
        "each experiment",
    )
    parser.add_argument(
        "--metric", metavar="METRIC", help="what the best is; trials: the primary metric of their sweep"
    )
    parser.add_argument("--goal", choices=("maximize", "minimize"), help="whether the best has the most or the least")
    _add_yes(parser)
    add_json(parser)


def prune(options: Namespace) -> int:
    from amlcore.app import housekeeping
    from amlcore.config import compose_workspace
    from amlcore.housekeeping.prune import PruneRequest
    from amlcore.sweep.goal import Goal

    workspace = compose_workspace(Workspace.at().path)
    is_chosen = bool(options.runs) or options.where is not None
    request = PruneRequest(
        kinds=options.what,
        folders=_selection(options).folders(workspace) if is_chosen else None,
        older_s=options.older,
        keep_best=options.keep_best,
        metric=options.metric,
        goal=None if options.goal is None else Goal(options.goal),
    )
    result = housekeeping.prune(workspace, request, dry_run=options.dry_run, confirm=_confirm(options), log=log)
    if options.json:
        print_json({**result.to_json(), "dry_run": options.dry_run})
    else:
        _print_prune(result, dry_run=options.dry_run)
    return 0


def _print_prune(result: Prune, *, dry_run: bool) -> None:
    from amlcore.app.housekeeping import megabytes
    from amlcore.terminal import tables

    tables.prune(result)
    for use in result.kept:
        log(f"kept: run {use.run} {use.reason}")
    for note in result.notes:
        log(note)
    log(f"{'would be deleted' if dry_run else 'deleted'}: {megabytes(result.size_bytes)}")


def _add_du(parser: Parser) -> None:
    parser.add_argument("--runs", action="store_true", help="list the runs too, the largest first")
    add_json(parser)


def du(options: Namespace) -> int:
    from amlcore.config import compose_workspace
    from amlcore.housekeeping.disk_usage import measure
    from amlcore.terminal import tables

    usage = measure(compose_workspace(Workspace.at().path))
    if options.json:
        print_json(usage.to_json())
    else:
        tables.disk_usage(usage, has_runs=options.runs)
    return 0


def _add_yes(parser: Parser) -> None:
    parser.add_argument(
        "--yes", action="store_true", help="do not ask; scripts, which have no terminal, are never asked"
    )


def _confirm(options: Namespace) -> Confirm:
    """How to ask a person; without a terminal there is nobody to ask."""
    has_person = sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
    if options.yes or not has_person:
        return lambda _: True

    def ask(question: str) -> bool:
        print(f"aml: {question} [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    return ask


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(filter(None, text.split(",")))
    wrong = [kind for kind in kinds if kind not in KINDS]
    if wrong or not kinds:
        raise ArgumentTypeError(f"'{(wrong or [text])[0]}': must be any of {', '.join(KINDS)}, separated by commas")
    return kinds


VERBS = {
    "rm": Verb("remove runs, with their children, to the trash", rm, _add_rm),
    "archive": Verb("hide runs from lists", archive, _add_archive),
    "prune": Verb("delete for good what nothing needs any more", prune, _add_prune),
    "du": Verb("show what the runs and stores of the workspace take on the disk", du, _add_du),
}
