"""The interpreter that a model is proven and served in."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from pathlib import Path

from amlcore.environment import build_lock
from amlcore.environment.lock import pins
from amlcore.log import Log
from amlcore.workspace import Workspace


def find_interpreter(workspace: Workspace, lock: str, *, version: str, log: Log) -> Path:
    """A Python with the packages of `lock`: this one if it has them, else one that is built for them."""
    if is_here(lock, python=version):
        return Path(sys.executable)
    cache = workspace.environments_path
    return build_lock(lock, python_version=version, cache=cache, log=log, name="service").python


def is_here(lock: str, *, python: str) -> bool:
    """Whether the interpreter that runs amlcore has the packages of `lock`, on Python `python`."""
    try:
        return python == platform.python_version() and all(
            metadata.version(name) == pinned_version for name, pinned_version in pins(lock).items()
        )
    except metadata.PackageNotFoundError:
        return False
