"""The command line: finds the verb, calls its action, and turns errors into messages and exit statuses."""

from __future__ import annotations

import errno
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from typing import TextIO

from amlcore.cli import aliases, compare, environments, housekeeping, internal, marks, models, project, runs, services
from amlcore.cli.parser import Parser, Verb
from amlcore.cli.typos import check_dashes
from amlcore.errors import AmlcoreError, LeftOutWarning
from amlcore.log import log_traceback
from amlcore.record.status import INTERRUPTED
from amlcore.terminal.output import log
from amlcore.version import __version__

RUN = "run"
RUN_SUMMARY = "compose a job, submit it, stream its output, register and package its model"
VERBS: dict[str, Verb] = {
    **runs.VERBS,
    **compare.VERBS,
    **marks.VERBS,
    **housekeeping.VERBS,
    **models.VERBS,
    **aliases.VERBS,
    **services.VERBS,
    **environments.VERBS,
    **project.VERBS,
}
VERBOSE = ("-v", "--verbose")
COMPLETION = ("-sc", "--shell-completion")
WRONG_REQUEST = 2
MACHINE_ERRORS = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}
REQUEST_ERRORS = {errno.ENAMETOOLONG}
"""Only a path that was typed is longer than the filesystem takes, whatever looks for it."""

_SHOW_WARNING = warnings.showwarning


def main(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status."""
    warnings.showwarning = _show_warning
    words, is_verbose = _without_verbose(list(arguments))
    if is_verbose or os.environ.get("AMLCORE_DEBUG", "0") not in ("", "0"):
        from amlcore.terminal.debug_log import debug_log

        with debug_log():
            return _carry_out(words)
    return _carry_out(words)


def _carry_out(words: list[str]) -> int:
    try:
        status = _dispatch(words)
        sys.stdout.flush()
        return status
    except AmlcoreError as error:
        log_traceback(error)
        log(f"error: {error}")
        return error.exit_status
    except KeyboardInterrupt as interrupt:
        log_traceback(interrupt)
        return INTERRUPTED
    except OSError as error:
        if error.errno not in MACHINE_ERRORS | REQUEST_ERRORS:
            raise
        log_traceback(error)
        return _machine_failed(error)


def _dispatch(words: list[str]) -> int:
    """Call the action of the verb that `words` begin with."""
    match words:
        case []:
            help_parser().print_help(sys.stderr)
            return WRONG_REQUEST
        case ["help"] | ["-h" | "--help", *_]:
            help_parser().print_help()
            return 0
        case ["help", *verb]:
            return _dispatch([*verb, "--help"])
        case ["--version", *_]:
            print(f"amlcore {__version__}")
            return 0
        case ["run", *further]:
            from amlcore.cli.run import run  # imports Hydra, which no other verb needs at start-up

            return run(further)
        case [word, *further] if word in COMPLETION:
            from amlcore.cli.completion import complete

            return complete(further, verbs=[RUN, *VERBS])
        case [word, folder] if word in internal.VERBS:
            return internal.VERBS[word](folder)
    name = " ".join(words[:2]) if " ".join(words[:2]) in VERBS else words[0]
    if name not in VERBS:
        from amlcore.cli.suggestions import unknown_verb

        raise unknown_verb(words, VERBS)
    return _call(name, words[len(name.split()) :])


def _call(name: str, words: list[str]) -> int:
    verb = VERBS[name]
    parser = verb.parser(name)
    if {"-h", "--help"} & {*words}:  # argparse loses the defaults in the help of intermixed arguments
        parser.print_help()
        return 0
    check_dashes(words, parser.flags)
    options, further = parser.parse_known_intermixed_args(words)
    if further:
        from amlcore.cli.suggestions import unexpected

        raise unexpected(further, name, VERBS)
    return verb.action(options)


def _without_verbose(words: list[str]) -> tuple[list[str], bool]:
    """The words without -v, which may stand anywhere before `--`, and whether it was there."""
    end = words.index("--") if "--" in words else len(words)
    others = [word for word in words[:end] if word not in VERBOSE]
    return [*others, *words[end:]], len(others) < end


def help_parser() -> Parser:
    """A parser that only prints the help of `aml`."""
    aml = Parser(
        prog="aml",
        description="Run scikit-learn scripts on your own machines the way Azure ML does.",
        epilog="`aml VERB --help` shows the options of a verb.",
        usage="aml [-h] [--version] [-v] VERB ...",
    )
    aml.add_argument("--version", action="store_true", help="print the version")
    aml.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="log tracebacks, timings and subprocesses (same as AMLCORE_DEBUG=1)",
    )
    verbs = aml.add_subparsers(metavar="VERB")
    for name, summary in [(RUN, RUN_SUMMARY), *((name, verb.summary) for name, verb in VERBS.items())]:
        if " " not in name:
            verbs.add_parser(name, help=summary)
    return aml


def _machine_failed(error: OSError) -> int:
    """Report an error of the system, unless the reader of the output has exited."""
    if error.errno == errno.EPIPE or error.filename is None:
        # Nothing more can be written there, not even by the interpreter when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if error.errno == errno.EPIPE:
        return 128 + signal.SIGPIPE
    log(f"error: {error.strerror}" + (f": {error.filename}" if error.filename else ""))
    return WRONG_REQUEST if error.errno in REQUEST_ERRORS else 1


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning about a skipped entry as a log line, any other warning as Python does."""
    if issubclass(category, LeftOutWarning):
        log(f"warning: {message}")
    else:
        _SHOW_WARNING(message, category, filename, lineno, file, line)
