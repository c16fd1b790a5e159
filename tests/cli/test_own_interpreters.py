"""Modules of the user that have the names of standard library modules are imported by the script alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.aml import HERE, Aml

NAMES = ("statistics", "queue", "random", "json", "tempfile", "threading", "logging", "platform", "csv")
SCRIPT = """
import os
from sklearn.dummy import DummyClassifier
import joblib
from amlcore import Run
run = Run.get_context()
run.log_fold("score", 1.0)
joblib.dump(DummyClassifier().fit([[0], [1]], [0, 1]), "outputs/model.joblib")
"""
SUBMIT = """
import sys
from pathlib import Path
from amlcore import Environment, Experiment, ScriptRunConfig, Workspace
run = Experiment(Workspace.from_config(), "e").submit(
    ScriptRunConfig("src", script="train.py", environment=Environment.get(Workspace.from_config(), "current"))
)
run.wait_for_completion(show_output=False)
print(run.get_status(), run.explanation)
"""


@pytest.fixture
def hostile(project: Path, write: Callable[[str, str], Path]) -> Path:
    """A project with such modules at its root, and its script in a subfolder."""
    for name in NAMES:
        write(f"{name}.py", f"raise SystemExit('the {name}.py of the user was imported')\n")
    write("src/train.py", SCRIPT)
    return project


@pytest.mark.parametrize("pythonpath", [None, ":/nowhere"])
def test_a_detached_run_is_driven(pythonpath: str | None, hostile: Path, aml: Aml) -> None:
    env = {} if pythonpath is None else {"PYTHONPATH": pythonpath}
    command = Path(sys.executable).with_name("aml")
    words = ["run", "script.source_directory=src", "script.script=train.py", HERE, "model.name=m", "--detach"]
    subprocess.run([command, *words], cwd=hostile, env={**os.environ, **env}, check=True, capture_output=True)

    aml("wait", "latest")
    assert aml("show", "latest", "--json").json["model"] == "m:1"


def test_a_model_is_registered_whose_code_holds_them_elsewhere(hostile: Path, aml: Aml) -> None:
    aml("run", "script.source_directory=.", "script.script=src/train.py", HERE, "model.name=m")

    assert aml("show", "latest", "--json").json["model"] == "m:1"


def test_a_sweep_is_plotted(hostile: Path, aml: Aml) -> None:
    words = ["script.source_directory=src", "script.script=train.py", HERE, "sweep.primary_metric=score"]
    aml("run", "-m", *words, "+script.arguments.x=1,2,3,4", "--detach")
    aml("wait", "latest")

    (folder,) = (path.parent for path in hostile.glob("outputs/*/*/study.jsonl"))
    assert "of the user was imported" not in (folder / "driver.log").read_text()


def test_a_folder_that_was_removed_is_said(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    command = f"rmdir {gone}; {sys.executable} -m amlcore runs"
    done = subprocess.run(command, shell=True, cwd=gone, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "aml: error: the working folder no longer exists; change to another one\n",
    )


def test_python_submits_in_the_background(hostile: Path) -> None:
    (hostile / "notebooks").mkdir()
    (hostile / "notebooks/submit.py").write_text(SUBMIT)
    done = subprocess.run(
        [sys.executable, "notebooks/submit.py"], cwd=hostile, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.startswith("Completed"), done
