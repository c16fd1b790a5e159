"""A driver's heartbeat continues whatever the driver waits for, so no other host takes its run for lost."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amlcore.record.heartbeat import is_beating
from tests.support.aml import HERE, SLOW_PICKLE, Aml, background, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="another host's name takes a namespace of its own")

LONG_AGO = (1e9, 1e9)
CHILDREN = """
import os, sys, time
from amlcore import Run
child = Run.get_context().child_run("inner")
while not os.path.exists(sys.argv[1]): time.sleep(0.05)
child.complete()
"""


def seen_elsewhere(project: Path, *arguments: str) -> Any:
    """What `aml … --json` says on another host."""
    command = ["unshare", "--uts", "sh", "-c", 'hostname elsewhere && exec "$@"', "sh", sys.executable, "-m", "amlcore"]
    done = subprocess.run([*command, *arguments, "--json"], cwd=project, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def beats(project: Path) -> Path:
    """The folder of the newest run, once its driver's heart has beaten anew."""
    driver = until(
        lambda: min(project.glob("outputs/*/*/driver.json"), key=lambda path: len(path.parent.name), default=None)
    )
    os.utime(driver, LONG_AGO)
    until(lambda: driver.stat().st_mtime > LONG_AGO[0])
    return driver.parent


@pytest.mark.parametrize("sweep", [(), ("-m", "+script.arguments.x=1,2")])
def test_the_heart_beats_while_an_environment_is_built(
    sweep: tuple[str, ...], project: Path, write: Callable[..., Path]
) -> None:
    write("a.py", "print(1)")
    write("r.txt", "six")
    chosen = ("environment=file", "environment.file=r.txt", "workspace.environments_folder=envs", *sweep)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.MonkeyPatch.context() as patch:
        patch.setenv("UV_INDEX_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/simple")
        patch.setenv("UV_NO_CACHE", "1")
        with background(project, "run", "a.py", *chosen), silent.accept()[0]:
            beats(project)
            assert [run["state"] for run in seen_elsewhere(project, "runs")] == ["Preparing"]


def test_the_heart_beats_while_a_model_is_registered(project: Path, write: Callable[..., Path]) -> None:
    write("train.py", SLOW_PICKLE.replace("{0}", str(project)))
    with background(project, "run", "train.py", HERE, "model.name=slow"):
        until((project / "loading").exists)
        folder = beats(project)
        (run,) = seen_elsewhere(project, "runs")
        assert (run["state"], run["reason"]) == ("Completed", None)
        assert (folder / "driver.json").exists()


@pytest.mark.parametrize("submitted", [True, False])
def test_runs_that_a_script_begins_are_not_lost_while_it_works(
    submitted: bool, project: Path, aml: Aml, write: Callable[..., Path]
) -> None:
    write("a.py", CHILDREN)
    go = project / "go"
    command = ["-m", "amlcore", "run", "a.py", HERE, "--", str(go)] if submitted else ["a.py", str(go)]
    with subprocess.Popen([sys.executable, *command], cwd=project, stderr=subprocess.DEVNULL) as script:
        try:
            child = until(lambda: next(project.glob("outputs/*/*_1/driver.json"), None))
            until((child.parent / "state.json").exists)
            for driver in project.glob("outputs/*/*/driver.json"):
                os.utime(driver, LONG_AGO)
            if submitted:
                beats(project)
            seen = seen_elsewhere(project, "runs", "--children")
        finally:
            go.touch()
        assert script.wait(60) == 0

    assert {run["state"] for run in seen} == {"Running"}
    assert {run["state"] for run in aml("runs", "--children", "--json").json} == {"Completed"}


@pytest.mark.parametrize("off_s", [-7200, 7200])
def test_a_clock_that_is_wrong_loses_no_run_and_keeps_none(
    off_s: int, project: Path, write: Callable[..., Path]
) -> None:
    """Seen from a host whose clock differs by hours from the one that the beats are written by."""
    write("a.py", "import os, sys, time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.05)\n")
    go = project / "go"
    with background(project, "run", "a.py", HERE, "--", str(go)) as driver:
        (claim,) = until(lambda: [*project.glob("outputs/*/*/attempts/1/claim.json")])
        beat = claim.parents[2] / "driver.json"
        stop = threading.Event()

        def skew() -> None:
            while not stop.wait(0.5):
                os.utime(beat, (time.time() + off_s, time.time() + off_s))

        clock = threading.Thread(target=skew)
        clock.start()
        until(lambda: abs(beat.stat().st_mtime - time.time()) > 3600)
        assert [run["state"] for run in seen_elsewhere(project, "runs")] == ["Running"]
        stop.set()
        clock.join()
        driver.kill()
        os.utime(beat, (time.time() + off_s, time.time() + off_s))
        assert not is_beating(str(beat))
        go.touch()
