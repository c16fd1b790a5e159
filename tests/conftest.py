"""Fixtures for all tests: a folder of their own, and `aml` as a user calls it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from tests.support.aml import Aml, Said

# CI runs the same examples each time; elsewhere every run looks for new ones.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


# A suite that a shell starts in the background ignores SIGINT, and so would every process that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
# nohup has it ignore SIGHUP likewise, by which the tests close terminals.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


class ClusterScheduling(LoadScopeScheduling):
    """Gives the tests of the cluster to one worker, since some of them take nodes down, and any other to a free one.

    They are told by their names, which are all that is known of a test here; xdist's --dist=loadgroup needs pytest < 9.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "slurm" if "slurm" in nodeid else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    return ClusterScheduling(config, log) if config.getoption("dist") == "load" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slurm") and "slurm" not in item.nodeid:
            raise pytest.UsageError(f"{item.nodeid} is marked slurm: its name must say so, see ClusterScheduling")


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


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for the services of a module of tests, with a BentoML store of its own."""
    root = tmp_path_factory.mktemp("services")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENTOML_HOME", str(root / "store"))
        yield root


@pytest.fixture
def write(project: Path) -> Callable[[str, str], Path]:
    """Write a file of the project."""

    def to(path: str, text: str) -> Path:
        target = project / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    return to
