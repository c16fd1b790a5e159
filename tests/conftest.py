"""What all tests share: a folder of their own, and `aml` as a user calls it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# CI runs the same examples each time; elsewhere every run looks for new ones.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one worker of xdist run all tests of the cluster, one after the other: some of them take nodes down."""
    for item in items:
        if item.get_closest_marker("slurm"):
            item.add_marker(pytest.mark.xdist_group("slurm"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test of the cluster where there is none, unless CI promised one."""
    if item.get_closest_marker("slurm") is None or _has_slurm():
        return
    if os.environ.get("AMLCORE_REQUIRE_SLURM"):
        pytest.fail("AMLCORE_REQUIRE_SLURM is set, and Slurm does not answer")
    pytest.skip("no Slurm here (scontrol does not answer): tests/slurm/up starts one")


def _has_slurm() -> bool:
    return (
        shutil.which("scontrol") is not None
        and subprocess.run(["scontrol", "ping"], capture_output=True, check=False).returncode == 0
    )


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Aml = Callable[..., Said]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A workspace with nothing in it but its marker."""
    root = tmp_path / "project"
    (root / ".amlcore").mkdir(parents=True)
    (root / ".amlcore/config.json").write_text('{"workspace_name": "project"}')
    return root


@pytest.fixture
def aml(project: Path) -> Aml:
    """Call `aml` in the project's folder; `cwd`, `env` and `status` (the one expected) may be given."""

    def call(
        *arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None, status: int | None = 0
    ) -> Said:
        done = subprocess.run(
            [sys.executable, "-m", "amlcore", *arguments],
            cwd=cwd or project,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        said = Said(done.returncode, done.stdout, done.stderr)
        assert status is None or said.status == status, said
        assert "amlcore/__main__.py" not in said.err, said  # a traceback of ours, whatever the script's own is
        return said

    return call


@pytest.fixture
def write(project: Path) -> Callable[[str, str], Path]:
    """Write a file of the project."""

    def to(path: str, text: str) -> Path:
        target = project / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    return to
