"""`aml run`: flags, a script at hand and Hydra's overrides, in any order."""

from __future__ import annotations

import argparse
import os
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

import yaml

from amlcore.app import runs
from amlcore.cli.arguments import Parser
from amlcore.config import Search, answer_hydra_flag, compose_search, quote_value
from amlcore.errors import ConfigError
from amlcore.execution.interrupts import catch_signals
from amlcore.execution.submission import dry_run
from amlcore.terminal.output import log
from amlcore.worker.module_file import find_module
from amlcore.worker.values import positional
from amlcore.workspace import Workspace

DEPTH, SUGGESTED = 4, 3
"""How many folders deep a script is looked for that is not where it was said to be, and how many are named."""
PASSED = ("outputs", "models", "node_modules", "venv", "env")


def run(arguments: list[str]) -> int:
    """Carry out `aml run`; the exit status is the script's own."""
    given, arguments_after = _split(arguments)
    options, unknown = _parser().parse_known_intermixed_args(given)
    if unknown:
        words = " ".join(unknown)
        raise ConfigError(f"{words}: no flag of aml run; a script's own arguments come after --, as in `-- {words}`")
    if (options.resolve or options.package) and not options.cfg:
        raise ConfigError(f"{'--resolve' if options.resolve else '--package'} goes with --cfg job")
    root = Workspace.at().path
    overrides = _overrides(options.overrides, arguments_after, root=root, module=options.module)
    if question := _question(options):
        answer_hydra_flag(overrides, root=root, flags=question, config_name=options.config_name)
        return 0
    request = compose_search(overrides, root=root, config_name=options.config_name, multirun=options.multirun)
    if isinstance(request, Search):
        return _sweep(request, options, overrides)
    if options.dry_run:
        _print_yaml(dry_run(request))
        return 0
    catch_signals()
    return runs.run_job(request, overrides=overrides, detach=options.detach, log=log)


def _sweep(search: Search, options: argparse.Namespace, overrides: list[str]) -> int:
    from amlcore.app import sweeps
    from amlcore.execution.sweep_driver import dry_run_sweep

    if options.dry_run:
        _print_yaml(dry_run_sweep(search))
        if note := search.repetition_note(overrides):
            log(note)
        return 0
    catch_signals()
    if search.sweep.resume:
        return sweeps.resume_same(search, detach=options.detach, log=log)
    return sweeps.run_sweep(search, overrides=overrides, detach=options.detach, log=log)


class _Dumper(yaml.SafeDumper):
    """YAML for people: 0.00003, where PyYAML writes 3.0e-05."""

    def represent_float(self, value: float) -> yaml.ScalarNode:
        if 0 < abs(value) < 1:
            return self.represent_scalar("tag:yaml.org,2002:float", positional(repr(value)))
        return super().represent_float(value)


_Dumper.add_representer(float, _Dumper.represent_float)
_Dumper.add_multi_representer(Enum, lambda dumper, value: dumper.represent_data(value.value))
_Dumper.add_multi_representer(PurePath, lambda dumper, value: dumper.represent_data(str(value)))


def _print_yaml(value: dict[str, Any]) -> None:
    print(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True), end="")


def _parser() -> argparse.ArgumentParser:
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


def _question(options: argparse.Namespace) -> list[str]:
    """The flags that Hydra answers by itself."""
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


def _split(arguments: list[str]) -> tuple[list[str], list[str] | None]:
    """What stands before `--`, and what stands after it: the script's own arguments."""
    if "--" not in arguments:
        return arguments, None
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def _overrides(
    words: list[str], arguments_after: list[str] | None, *, root: Path, module: str | None = None
) -> list[str]:
    """Hydra's overrides; a script or a module at hand and its arguments become some of them."""
    overrides = list(words)
    files = [word for word in words if _names_script(word)]
    if len(files) > 1 or (files and not files[0].endswith(".py")):
        wrong = files[0] if not files[0].endswith(".py") else files[1]
        raise ConfigError(
            f"'{wrong}': give a script (aml run train.py), KEY=VALUE, or the script's own arguments after --"
            f"{_meant(wrong)}"
        )
    if files and module is not None:
        raise ConfigError(f"{files[0]} and -M {module}: only one of them can run")
    if files or module is not None:
        script = Path(files[0]).absolute() if files else None
        if script is not None and not script.exists() and (meant := _meant(files[0])):
            raise ConfigError(f"{files[0]}: no such file{meant}")
        folder = Path.cwd() if script is None else script.parent
        folder = folder.relative_to(root) if folder.is_relative_to(root) else folder
        # What the project says of its own script's model does not hold for another script.
        none = [f"{group}=none" for group in ("model", "deployment") if not _speaks_of(group, overrides)]
        overrides = [
            *none,
            "script=script",
            f"script.source_directory={quote_value(str(folder))}",
            f"script.module={quote_value(str(module))}"
            if script is None
            else f"script.script={quote_value(script.name)}",
            *(word for word in overrides if word not in files),
        ]
    if arguments_after is not None:
        listed = ",".join(quote_value(word) for word in arguments_after)
        # Hydra cannot lay a list over a mapping; null makes room for it.
        overrides += ["script.arguments=null", f"script.arguments=[{listed}]"]
    return overrides


def _meant(word: str) -> str:
    """The script or module below the working folder that `word` perhaps means."""
    if Path(word).is_file():
        return ""
    if find_module(".", word) is not None and not Path(f"{word}.py").is_file():
        return f"; did you mean -M {word}?"
    wanted = Path(word).name if word.endswith(".py") else f"{Path(word).name}.py"
    found = []
    for parent, folders, names in os.walk("."):
        depth = len(Path(parent).parts)
        folders[:] = sorted(name for name in folders if depth < DEPTH and name[0] not in "._" and name not in PASSED)
        found += [os.path.normpath(os.path.join(parent, name)) for name in names if name == wanted]
        if len(found) >= SUGGESTED:
            break
    return f"; did you mean {' or '.join(found[:SUGGESTED])}?" if found else ""


def _names_script(word: str) -> bool:
    return ("=" not in word and not word.startswith("~")) or (word.endswith(".py") and Path(word).is_file())


def _speaks_of(group: str, overrides: list[str]) -> bool:
    return any(item.lstrip("+").startswith((f"{group}=", f"{group}.", "experiment=")) for item in overrides)
