"""The verbs for a machine and a new project: doctor, init."""

from __future__ import annotations

import shlex
from argparse import Namespace
from pathlib import Path

from amlcore.cli.parser import Parser, Verb, nonempty
from amlcore.terminal.output import log, printable
from amlcore.workspace import Workspace


def _add_doctor(parser: Parser) -> None:
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="such as compute=slurm compute.partition=main")


def doctor(options: Namespace) -> int:
    import shutil

    from amlcore.app import doctor
    from amlcore.config import compose

    workspace = Workspace.at()
    is_chosen = any(item.startswith("compute=") for item in options.overrides)
    default = [] if is_chosen else ["compute=slurm" if shutil.which("sbatch") else "compute=local"]
    target = compose([*default, *options.overrides], root=workspace.path).compute
    status = 0
    for finding in doctor.examine(workspace, target):
        print(printable(f"{'ok ' if finding.good else 'BAD'} {finding.name}: {finding.message}"), flush=True)
        status = status if finding.good else 1
    if target.kind == "local":
        log("checked this machine only; to check a cluster: aml doctor compute=slurm")
    return status


def _add_init(parser: Parser) -> None:
    parser.add_argument("folder", metavar="DIR", type=nonempty)


def init(options: Namespace) -> int:
    from amlcore.app.init import init

    for path in init(Path(options.folder)):
        print(path)
    log(f"next: cd {shlex.quote(options.folder)} && aml run")
    return 0


VERBS = {
    "doctor": Verb(
        "check that this machine and its cluster can run jobs, and look for damaged run and model files",
        doctor,
        _add_doctor,
    ),
    "init": Verb("create a small project that is ready to run", init, _add_init),
}
