"""The interpreter that serves the page: this one where it has the right MLflow, else one that uv builds."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from amlcore.environment import build_lock
from amlcore.log import Log
from amlcore.workspace import Workspace

MLFLOW = "mlflow>=3.17,<3.18"
"""The releases that the page is tested with: it relies on more of MLflow than MLflow promises to keep."""

LOCK = Path(__file__).parent / "lock.txt"
"""What is installed to serve the page, with hashes; `make lock` writes it."""


def find_interpreter(workspace: Workspace, *, log: Log) -> Path:
    """A Python with an MLflow that the page is tested with.

    Raises
    ------
    BuildError
        It cannot be installed; the message quotes the installer.
    """
    version = _installed_version()
    if version is not None and Requirement(MLFLOW).specifier.contains(version):
        return Path(sys.executable)
    if version is not None:
        log(f"note: the page needs {MLFLOW}, and mlflow {version} is installed here; it gets an environment of its own")
    return build_lock(
        LOCK.read_text(encoding="utf-8"),
        python_version=platform.python_version(),
        cache=workspace.environments_path,
        log=log,
        name="ui",
    ).python


def _installed_version() -> str | None:
    try:
        return metadata.version("mlflow")
    except metadata.PackageNotFoundError:
        return None
