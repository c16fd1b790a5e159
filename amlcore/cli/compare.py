"""The verb compare: what differs between runs."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from amlcore.cli.parser import Parser, Verb, add_json
from amlcore.terminal.output import log, print_json
from amlcore.workspace import Workspace


def _add_compare(parser: Parser) -> None:
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="+",
        help="two runs or more: an id, the beginning of one if it is unique, a name, `latest`, or the path of a run's "
        "folder in any workspace",
    )
    parser.add_argument("--all", action="store_true", help="show what is the same too, and whole diffs")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write one HTML page instead")
    add_json(parser)


def compare(options: Namespace) -> int:
    from amlcore.app.compare import compare_runs, write_page
    from amlcore.terminal import comparison_tables

    comparison = compare_runs(Workspace.at(), options.runs)
    if options.html is not None:
        write_page(comparison, options.html, everything=options.all)
        log(f"wrote {options.html}")
    if options.json:
        print_json(comparison.to_json(everything=options.all))
    elif options.html is None:
        comparison_tables.comparison(comparison, everything=options.all)
    return 0


VERBS = {"compare": Verb("show what differs between runs", compare, _add_compare)}
