"""Throwaway environments for what amlcore is measured beside."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def build(name: str, requirements: Sequence[str], *, folder: Path) -> str | None:
    """The Python of a new environment with `requirements`; None, after printing why, if they cannot be installed."""
    python = folder / f"env-{name}" / "bin" / "python"
    uv = str(Path(sys.executable).parent / "uv")
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(python.parent.parent)],
        [uv, "pip", "install", "--quiet", "--python", str(python), *requirements],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(f"{name} is left out: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
            return None
    return str(python)
