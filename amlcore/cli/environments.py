"""The verbs for environments: env, env list, env build, env prune."""

from __future__ import annotations

from argparse import Namespace

from amlcore.cli.parser import Parser, Verb, add_json, days
from amlcore.terminal.output import log, print_json
from amlcore.workspace import Workspace

DAY_S = 86400.0


def list_environments(options: Namespace) -> int:
    from amlcore.app.environments import environments
    from amlcore.config import compose_workspace
    from amlcore.terminal import tables

    rows = environments(compose_workspace(Workspace.at().path))
    if options.json:
        print_json(rows)
    else:
        tables.environments(rows)
    return 0


def _add_build(parser: Parser) -> None:
    parser.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        default="sklearn",
        help="an option of conf/environment (default: %(default)s), or the first override",
    )
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="such as environment.file=requirements.txt")
    parser.add_argument("--upgrade", action="store_true", help="resolve again, to the newest versions that fit")


def build(options: Namespace) -> int:
    from amlcore.config import compose

    workspace = Workspace.at()
    option = options.name if "=" in options.name else f"environment={options.name}"
    job = compose([option, *options.overrides], root=workspace.path)
    cache = job.workspace.environments_path
    environment = job.environment.build(root=workspace.path, cache=cache, log=log, upgrade=options.upgrade)
    print(environment.python)
    return 0


def _add_prune(parser: Parser) -> None:
    parser.add_argument(
        "--days", type=days, default=30.0, metavar="N", help="unused for at least N days (default: %(default)g)"
    )


def prune(options: Namespace) -> int:
    from amlcore.app import housekeeping
    from amlcore.config import compose_workspace
    from amlcore.housekeeping.prune import PruneRequest

    request = PruneRequest(kinds=("environments",), older_s=options.days * DAY_S)
    workspace = compose_workspace(Workspace.at().path)
    removed = housekeeping.prune(workspace, request, dry_run=False, confirm=lambda _: True, log=log).environments
    log(f"removed {housekeeping.count(removed, 'environment')}")
    return 0


_LIST = "list the built environments and the names that can be chosen"
VERBS = {
    "env": Verb("list, build or prune environments", list_environments, add_json, "verbs: list, build, prune"),
    "env list": Verb(_LIST, list_environments, add_json),
    "env build": Verb("build an environment unless it is already built", build, _add_build),
    "env prune": Verb("remove environments that nothing uses, as `aml prune` does", prune, _add_prune),
}
