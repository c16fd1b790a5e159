"""`aml du`: what it says is what `du` says, by run, by experiment and by kind, with everything counted once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.called import called
from tests.support.laid_runs import lay, lay_sweep


def du_bytes(*paths: Path) -> int:
    done = subprocess.run(["du", "-s", "-c", "-B1", *map(str, paths)], capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1].split()[0])


def test_du_counts_as_the_system_du(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "environments"
    monkeypatch.setenv("AMLCORE_ENVIRONMENTS", str(cache))
    for folder in (cache, project / ".amlcore/snapshots", project / "models/wine/1"):
        folder.mkdir(parents=True)
        (folder / "file").write_text("x" * 10_000)
    run = lay(project, 1, experiment="a", files={"outputs/x.txt": "x" * 50_000, "logs/stdout.txt": "said"})
    os.link(run / "outputs/x.txt", run / "outputs/same.txt")
    os.link(run / "outputs/x.txt", project / "models/wine/1/same.txt")
    (run / "outputs/link").symlink_to("/usr")
    sweep = lay_sweep(project, 2, trials=3, experiment="b")
    called(project, "rm", lay(project, 3, files={"outputs/x.txt": "y" * 30_000}).name)

    usage = called(project, "du", "--json").json

    kinds = usage["kinds"]
    assert usage["size_bytes"] == sum(kinds.values())
    runs = [run, sweep, *(sweep.with_name(f"{sweep.name}_{trial}") for trial in range(3))]
    assert {one["id"]: one["size_bytes"] for one in usage["runs"]} == {one.name: du_bytes(one) for one in runs}
    assert {row["experiment"]: row["runs"] for row in usage["experiments"]} == {"a": 1, "b": 4}
    assert sum(kinds.values()) == du_bytes(*runs, project / "models", project / ".amlcore", cache) - du_bytes_of_itself(
        project / ".amlcore"
    )
    assert kinds["trash"] == du_bytes(project / ".amlcore/trash")
    assert kinds["outputs"] >= 50_000
    assert "total" in called(project, "du", "--runs").out


def du_bytes_of_itself(folder: Path) -> int:
    """What a folder takes without its content, which `aml du` does not count for the folder of the marker."""
    return os.stat(folder).st_blocks * 512


def test_an_empty_workspace_takes_nothing(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMLCORE_ENVIRONMENTS", str(tmp_path / "none"))

    usage = called(project, "du", "--json").json

    assert usage["runs"] == usage["experiments"] == []
    assert usage["kinds"]["outputs"] == 0
