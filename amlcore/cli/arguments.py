"""The arguments of each verb of `aml`; those of `aml run` are Hydra's, and stand in cli_run."""

from __future__ import annotations

import argparse
import math
from typing import NoReturn

from amlcore.terminal.output import printable
from amlcore.version import __version__


class Parser(argparse.ArgumentParser):
    """An argument parser whose messages show control characters in what was typed."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def parser() -> argparse.ArgumentParser:
    """The parser of `aml`; the verb that it finds is `options.verb`, by name."""
    return _parser()[0]


def verbs() -> list[str]:
    """The verbs of `aml`, as a shell completes them."""
    return _parser()[1]


def _parser() -> tuple[argparse.ArgumentParser, list[str]]:
    aml = Parser(prog="aml", description="What Azure ML does for a scikit-learn script, on your own machines.")
    aml.add_argument("--version", action="version", version=f"amlcore {__version__}")
    verbs = aml.add_subparsers(required=True, metavar="VERB")

    def add(name: str, summary: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=summary, description=summary)
        added.set_defaults(verb=name)
        return added

    add("run", "compose a job, submit it, stream it, register and package its model (aml run --help)")

    listing = add("runs", "list the runs, newest first")
    listing.add_argument("--experiment", help="only the runs of this experiment")
    listing.add_argument("--sort", metavar="METRIC", help="highest last value of METRIC first")
    listing.add_argument(
        "--children", action="store_true", help="child runs too, and the trials of a sweep in its place"
    )
    how_many = listing.add_mutually_exclusive_group()
    how_many.add_argument("--limit", type=_positive, default=20, help="at most so many (20)")
    how_many.add_argument("--all", action="store_true", help="all of them")
    listing.add_argument("--json", action="store_true", help="one JSON document on stdout")

    show = add("show", "show everything about a run")
    show.add_argument("run", metavar="RUN", help="an id, a unique beginning of one, or `latest`")
    show.add_argument("--json", action="store_true", help="one JSON document on stdout")

    logs = add("logs", "print what a run printed")
    logs.add_argument("run", metavar="RUN")
    logs.add_argument("file", metavar="FILE", nargs="?", help="instead, a file that the script wrote to ./logs")
    logs.add_argument("--follow", action="store_true", help="go on until the run has ended")

    add("cancel", "end a run, its children included").add_argument("run", metavar="RUN")
    add("wait", "wait until a run has ended, and exit as it did").add_argument("run", metavar="RUN")

    again = add("rerun", "run again: the same snapshot, lock, configuration and inputs")
    again.add_argument("run", metavar="RUN")
    again.add_argument("--detach", action="store_true", help="return at once; the run goes on in the background")

    resume = add("resume", "go on with a sweep that was canceled, or whose driver is gone")
    resume.add_argument("run", metavar="SWEEP")
    resume.add_argument("--detach", action="store_true", help="return at once; the sweep goes on in the background")

    register = add("register", "register a model from a completed run")
    register.add_argument("run", metavar="RUN")
    register.add_argument("--name", required=True, help="the model's name; its versions count from 1")
    register.add_argument("--path", default="outputs/model.joblib", help="the file that the script wrote (%(default)s)")
    register.add_argument("--framework-version", help="stated version; the lock's own is recorded beside it")
    register.add_argument("--json", action="store_true", help="one JSON document on stdout")

    models = add("models", "list the registered models, newest first")
    models.add_argument("--json", action="store_true", help="one JSON document on stdout")

    deploy = add("deploy", "package a model as a Bento")
    deploy.add_argument("model", metavar="MODEL[:VERSION]")
    deploy.add_argument(
        "overrides", nargs="*", metavar="OVERRIDE", help="such as deployment.name=iris deployment.workers=2"
    )
    deploy.add_argument("--json", action="store_true", help="one JSON document on stdout")

    serve = add("serve", "serve a packaged model in its own environment")
    serve.add_argument("service", metavar="SERVICE[:VERSION]")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=_port, default=3000, help="from 1 to 65535 (%(default)s)")

    ui = add("ui", "show a sweep in a browser, by optuna-dashboard")
    ui.add_argument("sweep", metavar="SWEEP", nargs="?", help="an id, a unique beginning of one, or `latest`")
    ui.add_argument("--port", type=_port, default=8080, help="from 1 to 65535 (%(default)s)")

    keys = add("keys", "show the keys of a service that was packaged with deployment.auth=key")
    keys.add_argument("service", metavar="SERVICE")
    keys.add_argument("--regenerate", choices=("primary", "secondary"), help="replace this key first")
    keys.add_argument("--json", action="store_true", help="one JSON document on stdout")

    _add_environments(add("env", "list, build or prune environments"))
    doctor = add(
        "doctor",
        "say whether this machine and its cluster can take runs, and which files of runs and models are damaged",
    )
    doctor.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="such as compute=slurm compute.partition=main")
    init = add("init", "write a small project that runs at once")
    init.add_argument("folder", metavar="DIR", type=_named)
    return aml, list(verbs.choices)


def _add_environments(env: argparse.ArgumentParser) -> None:
    env.set_defaults(json=False)
    verbs = env.add_subparsers(metavar="list|build|prune")
    listing = verbs.add_parser("list", help="the built environments, and the names that can be chosen")
    listing.add_argument("--json", action="store_true", help="one JSON document on stdout")
    listing.set_defaults(verb="env")
    build = verbs.add_parser("build", help="build an environment, or find it built")
    build.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        default="sklearn",
        help="an option of conf/environment (sklearn), or the first override",
    )
    build.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="such as environment.file=requirements.txt")
    build.add_argument("--upgrade", action="store_true", help="resolve it anew, to the newest that fits")
    build.set_defaults(verb="env build")
    prune = verbs.add_parser("prune", help="remove environments that nothing uses")
    prune.add_argument("--days", type=_days, default=30.0, help="unused for so many days (30)")
    prune.set_defaults(verb="env prune")


def _named(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("give the folder a name")
    return text


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number above 0")
    return int(text)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not days >= 0:
        raise argparse.ArgumentTypeError(f"{text} is no number of days; legal: 0 or more")
    return days


def _port(text: str) -> int:
    if _positive(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port; legal: 1 to 65535")
    return int(text)
