"""Runs the proof of the fast paths in the interpreter that will serve the model, and reports what it found."""

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
MIN_SPEEDUP = 1.5  # below it is not reported


def copy_service(stage: Path) -> None:
    """Copy the service's own code into `stage`, as the package that a Bento carries."""
    shutil.copytree(RUNTIME, stage / "amlcore_service", ignore=shutil.ignore_patterns("__pycache__"))


def run_proof(model: Model, settings: dict[str, Any], *, python: Path) -> dict[str, Any]:
    """The report that the Bento carries: the candidates, their equality and speed, the choice, a worker's memory.

    `model` has been verified: its files are loaded without checking their hashes again.

    Raises
    ------
    DeploymentError
        The model cannot be loaded in that interpreter, or answers no request.
    """
    with temporary_folder("proof") as stage:
        copy_service(stage)
        (stage / "model").symlink_to(model.folder.absolute(), target_is_directory=True)
        write_json(str(stage / "service.json"), settings)
        try:
            process = subprocess.run(
                [str(python), "-m", "amlcore_service.proof", str(stage)],
                cwd=stage,
                env={
                    **plain_environment(),
                    **dict.fromkeys(THREAD_VARIABLES, str(settings["threads"])),
                    "PYTHONDONTWRITEBYTECODE": "1",  # next to the model's own modules, which are packaged
                },
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            slow = f"the comparison took more than {TIMEOUT_S // 60} minutes"
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
        lines = process.stderr.strip().splitlines() or [f"exit status {process.returncode}"]
        raise DeploymentError(f"{model.id} cannot be served by {python}: {lines[-1]}")
    failed = report.pop("failed", None)
    if failed:
        raise DeploymentError(f"{model.id} could not answer a single request, so it was not packaged: {failed}")
    return dict(report)


def uses(report: dict[str, Any], path: str) -> bool:
    """Whether `path` was chosen for any number of rows."""
    return any(name == path for ladder in report["chosen"].values() for _, name in ladder)


def memory_warning(report: dict[str, Any], *, workers: int, memory_in_gb: float | None) -> str | None:
    """A warning if the workers need more memory than the deployment states."""
    if memory_in_gb is None or report["memory_mb"] is None:
        return None
    needed = workers * report["memory_mb"] / 1024
    if needed <= memory_in_gb:
        return None
    enough = int(needed * 10 + 1) / 10
    return (
        f"memory_in_gb={memory_in_gb:g} is too little for workers={workers}: each needs {report['memory_mb']} MB as "
        f"measured; set at least {enough:g}" + (", or fewer deployment.workers" if workers > 1 else "")
    )


def summary(report: dict[str, Any], deployment: Deployment) -> str:
    """One line about how requests will be answered."""
    names = sorted({name for ladder in report["chosen"].values() for _, name in ladder})
    name = deployment.name or "the service"
    if not names or names == ["model"]:
        return f"{name} answers with the model's own predict: {report['because'] or 'no fast path gives equal answers'}"
    speeds = report["candidates"]
    first = report["chosen"]["predict"][0][1]
    times = speeds["model"]["microseconds"]["predict"]["1"] / speeds[first]["microseconds"]["predict"]["1"]
    speedup = f": one row {times:.1f} times as fast as the model's own predict" if times >= MIN_SPEEDUP else ""
    return f"{name} answers with {' and '.join(names)}{speedup}"
