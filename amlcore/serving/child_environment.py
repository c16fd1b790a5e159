"""The environment variables of the processes that package a model and serve it."""

from __future__ import annotations

import os
from pathlib import Path

COLORS = ("FORCE_COLOR", "CLICOLOR_FORCE", "PY_COLORS", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
"""By which a notebook or a CI asks for colours where no terminal is."""


def quiet_environment() -> dict[str, str]:
    """This process's environment with BentoML's telemetry off, and its store where it is even from another folder."""
    home = os.environ.get("BENTOML_HOME")
    return {
        **os.environ,
        "BENTOML_DO_NOT_TRACK": "True",
        **({"BENTOML_HOME": str(Path(home).absolute())} if home else {}),
    }


def plain_environment() -> dict[str, str]:
    """The same for a process whose words are captured, and stand in a message of amlcore's if it fails."""
    kept = {name: value for name, value in quiet_environment().items() if name not in COLORS}
    return {**kept, "NO_COLOR": "1"}
