"""The proof of a model's faster predict paths, made in the interpreter that will serve it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amlcore.environment.temporary_folder import temporary_folder
from amlcore.errors import DeploymentError
from amlcore.serving.child_environment import plain_environment
from amlcore.serving.deployment import Deployment
from amlcore.serving.runtime.cores import THREAD_VARIABLES
from amlcore.worker.files import read_json, write_json

if TYPE_CHECKING:
    from amlcore.model import Model

RUNTIME = Path(__file__).parent / "runtime"
TIMEOUT_S = 600
WORTH_SAYING = 1.5


def copy_service(stage: Path) -> None:
    """Lay the service's own code into `stage` as it travels inside a Bento."""
    shutil.copytree(RUNTIME, stage / "amlcore_service", ignore=shutil.ignore_patterns("__pycache__"))


def run_proof(model: Model, settings: dict[str, Any], *, python: Path) -> dict[str, Any]:
    """The report that the Bento carries: candidates, their equality and speed, what was chosen, a worker's memory.

    Raises
    ------
    DeploymentError
        The model cannot be loaded there.
    """
    with temporary_folder("proof") as stage:
        copy_service(stage)
        (stage / "model").symlink_to(model.folder.absolute(), target_is_directory=True)
        write_json(str(stage / "service.json"), settings)
        try:
            done = subprocess.run(
                [str(python), "-m", "amlcore_service.proof", str(stage)],
                cwd=stage,
                env={
                    **plain_environment(),
                    **dict.fromkeys(THREAD_VARIABLES, str(settings["threads"])),
                    "PYTHONDONTWRITEBYTECODE": "1",  # beside the model's own modules, which are packaged
                },
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            slow = f"made rows were not answered within {TIMEOUT_S // 60} minutes"
            return {
                "candidates": {},
                "chosen": {},
                "missing": [],
                "style": None,
                "because": slow,
                "memory_mb": None,
                "refused": None,
            }
        report = read_json(str(stage / "proof.json"))
    if report is None:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise DeploymentError(f"{model.id} cannot be served by {python}: {said[-1]}")
    failed = report.pop("failed", None)
    if failed:
        raise DeploymentError(f"{model.id} could not answer a single request, so it is not packaged: {failed}")
    return dict(report)


def uses(report: dict[str, Any], path: str) -> bool:
    """Whether `path` answers any number of rows."""
    return any(name == path for ladder in report["chosen"].values() for _, name in ladder)


def memory_warning(report: dict[str, Any], *, workers: int, memory_in_gb: float | None) -> str | None:
    """What is wrong with the memory that was stated for a service, if anything is."""
    if memory_in_gb is None or report["memory_mb"] is None:
        return None
    needed = workers * report["memory_mb"] / 1024
    if needed <= memory_in_gb:
        return None
    enough = int(needed * 10 + 1) / 10
    each = f"a worker needs {report['memory_mb']} MB"
    return (
        f"memory_in_gb={memory_in_gb:g} is too little: {each} as measured, and there are "
        f"{workers}; state at least {enough:g}" + (", or lower deployment.workers" if workers > 1 else "")
    )


def summary(report: dict[str, Any], deployment: Deployment) -> str:
    """One line on the way in which requests will be answered."""
    names = sorted({name for ladder in report["chosen"].values() for _, name in ladder})
    name = deployment.name or "the service"
    if not names or names == ["model"]:
        return f"{name} answers by predict as it is: {report['because'] or 'no faster path is equal to it'}"
    speeds = report["candidates"]
    first = report["chosen"]["predict"][0][1]
    times = speeds["model"]["microseconds"]["predict"]["1"] / speeds[first]["microseconds"]["predict"]["1"]
    gained = f": one row {times:.1f} times as fast as by predict as it is" if times >= WORTH_SAYING else ""
    return f"{name} answers by {' and '.join(names)}{gained}"
