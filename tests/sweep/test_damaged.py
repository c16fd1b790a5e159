"""Sweeps whose folders are removed or damaged while they run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from amlcore.errors import BuildError, RecordError
from amlcore.record.record import Record
from amlcore.runs import lifecycle, models
from tests.support.aml import HERE, Aml, background, runs, until

TRIAL = """
import os, sys, time
from amlcore import Run
Run.get_context().log("score", float(sys.argv[2]))
while not os.path.exists(sys.argv[1]): time.sleep(0.02)
"""
SEARCH = ("+script.arguments.score=1,2,3", "sweep.primary_metric=score", "compute.slots=2", "model=none")


@pytest.mark.parametrize("harm", ["removed", "damaged"])
def test_one_trial_costs_the_sweep_that_trial_alone(
    harm: str, project: Path, aml: Aml, write: Callable[..., Path]
) -> None:
    go = project / "go"
    write("a.py", TRIAL.replace("sys.argv[1]", repr(str(go))))
    with background(project, "run", "-m", "script.script=a.py", HERE, *SEARCH) as driver:
        (claim,) = until(lambda: [*project.glob("outputs/a/*_1/attempts/1/claim.json")])
        trial = claim.parents[2]
        if harm == "removed":
            shutil.rmtree(trial, ignore_errors=True)
        else:
            (trial / "state.json").write_text("{")
        go.touch()
        said = driver.communicate(timeout=60)[1]

    assert driver.returncode == 0, said
    assert "3 trials: 2 done, 0 pruned, 1 failed" in said
    assert "best: trial 2" in said
    assert ("was removed while its trial was running" if harm == "removed" else "state.json is damaged") in said
    assert [run["state"] for run in runs(aml)] == ["Completed"]


def test_a_sweep_whose_own_folder_is_removed_is_one_message(project: Path, write: Callable[..., Path]) -> None:
    write("a.py", TRIAL.replace("sys.argv[1]", repr(str(project / "go"))))
    with background(project, "run", "-m", "script.script=a.py", HERE, *SEARCH) as driver:
        until(lambda: [*project.glob("outputs/a/*_1/attempts/1/claim.json")])
        for folder in project.glob("outputs/a/*"):
            shutil.rmtree(folder, ignore_errors=True)
        (project / "go").touch()
        said = driver.communicate(timeout=60)[1]

    assert driver.returncode == 1
    assert "was removed while its sweep was running" in said
    assert "Traceback" not in said


def test_the_cause_of_a_failure_that_cannot_be_recorded_is_raised(
    project: Path, aml: Aml, write: Callable[..., Path]
) -> None:
    write("a.py", "print(1)")
    aml("run", "a.py", HERE)
    (folder,) = project.glob("outputs/a/*")
    record = Record(folder)
    (folder / "state.json").write_text("{")

    with pytest.raises(RecordError, match=r"no wheel; and that could not be recorded: .*state.json is damaged"):
        lifecycle.fail_with(record, BuildError("no wheel"))
    lifecycle.fail_with(record, ZeroDivisionError("ours"))  # is raised again by its driver
    models.note_driver_failure(record, KeyboardInterrupt())
