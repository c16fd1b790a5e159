"""The environment variables of the processes that package a model and serve it."""

from __future__ import annotations

import os
from pathlib import Path

COLORS = ("FORCE_COLOR", "CLICOLOR_FORCE", "PY_COLORS", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
"""Variables with which a notebook or CI asks for colours without a terminal."""


def quiet_environment() -> dict[str, str]:
    """This process's environment with BentoML's telemetry off and an absolute path of its store."""
    home = os.environ.get("BENTOML_HOME")
    return {
        **os.environ,
        "BENTOML_DO_NOT_TRACK": "True",
        **({"BENTOML_HOME": str(Path(home).absolute())} if home else {}),
    }


def plain_environment() -> dict[str, str]:
    """The same without colours, for a process whose output may end up in an error message."""
    variables = {name: value for name, value in quiet_environment().items() if name not in COLORS}
    return {**variables, "NO_COLOR": "1"}
