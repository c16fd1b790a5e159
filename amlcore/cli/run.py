"""`aml run`: options and overrides in any order, and what they ask for."""

from __future__ import annotations

from argparse import Namespace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from amlcore.cli.parser import Parser
from amlcore.cli.script_arguments import overrides_of, split_at_dashes
from amlcore.cli.typos import check_dashes, flag_of
from amlcore.errors import ConfigError
from amlcore.terminal.output import log
from amlcore.workspace import Workspace

if TYPE_CHECKING:
    from amlcore.config import Search


def run(arguments: list[str]) -> int:
    """Run `aml run`; its exit status is the script's."""
    words, script_arguments = split_at_dashes(arguments)
    options = _parse(words)
    # Imported here, past the errors that need no Hydra.
    from amlcore.app import runs
    from amlcore.config import Search, answer_hydra_flag, compose_search
    from amlcore.execution.interrupts import catch_signals
    from amlcore.execution.submission import dry_run
    from amlcore.terminal.yaml_output import print_yaml

    root = Workspace.at().path
    overrides = overrides_of(options.overrides, script_arguments, root=root, module=options.module)
    if flags := _hydra_flags(options):
        answer_hydra_flag(overrides, root=root, flags=flags, config_name=options.config_name)
        return 0
    request = compose_search(overrides, root=root, config_name=options.config_name, multirun=options.multirun)
    if isinstance(request, Search):
        return _sweep(request, options, overrides)
    if options.multirun:
        log("note: nothing to sweep over, so this is a single run; to sweep, give several values, as in KEY=1,2")
    if options.dry_run:
        print_yaml(dry_run(request))
        return 0
    catch_signals()
    return runs.run_job(request, overrides=overrides, detach=options.detach, log=log)


def _sweep(search: Search, options: Namespace, overrides: list[str]) -> int:
    from amlcore.app import sweeps
    from amlcore.execution.interrupts import catch_signals
    from amlcore.execution.sweep_submission import dry_run_sweep
    from amlcore.terminal.yaml_output import print_yaml

    if options.dry_run:
        print_yaml(dry_run_sweep(search))
        if note := search.repetition_note(overrides):
            log(note)
        return 0
    catch_signals()
    if search.sweep.resume:
        return sweeps.resume_same(search, detach=options.detach, log=log)
    return sweeps.run_sweep(search, overrides=overrides, detach=options.detach, log=log)


def run_parser() -> Parser:
    parser = Parser(prog="aml run", add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("-m", "--multirun", action="store_true")
    parser.add_argument("-M", "--module")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--detach", action="store_true")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--hydra-help", action="store_true")
    parser.add_argument("-c", "--cfg", choices=["job", "hydra", "all"])
    parser.add_argument("-p", "--package")
    parser.add_argument("--resolve", action="store_true")
    parser.add_argument(
        "-i",
        "--info",
        nargs="?",
        const="all",
        choices=["all", "config", "defaults", "defaults-tree", "plugins", "searchpath"],
    )
    parser.add_argument("-cn", "--config-name", default="config")
    return parser


def _parse(words: list[str]) -> Namespace:
    parser = run_parser()
    check_dashes(words, parser.flags)
    options, unknown = parser.parse_known_intermixed_args(words)
    if unknown:
        near = get_close_matches(flag_of(unknown[0]), parser.flags, n=1, cutoff=0.8)
        hint = f"did you mean {near[0]}? Arguments" if near else "arguments"
        typed = " ".join(unknown)
        raise ConfigError(f"unknown option {unknown[0]}; {hint} for the script go after --, as in `-- {typed}`")
    if (options.resolve or options.package) and not options.cfg:
        raise ConfigError(f"{'--resolve' if options.resolve else '--package'} requires --cfg job")
    return options


def _hydra_flags(options: Namespace) -> list[str]:
    """The flags on the command line that Hydra handles itself."""
    if options.help:
        return ["--help"]
    if options.hydra_help:
        return ["--hydra-help"]
    if options.info:
        return ["--info", options.info]
    if options.cfg:
        package = ["--package", options.package] if options.package else []
        return ["--cfg", options.cfg, *package, *(["--resolve"] if options.resolve else [])]
    return []
