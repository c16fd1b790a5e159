"""Sweeps as a user calls them: `aml run -m`, with real scripts in real processes."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest

from tests.support.aml import HERE, Aml, Write, background, until
from tests.support.sweeps import LOGS, SCRIPT, sweep_and_trials

IRIS = Path(__file__).parents[2] / "scripts/iris"


@pytest.fixture
def toy(write: Write) -> None:
    write("src/train.py", LOGS)
    write("conf/script/toy.yaml", SCRIPT)


def test_the_iris_sweep_scores_what_it_must_and_ends_in_a_service(project: Path, aml: Aml, tmp_path: Path) -> None:
    shutil.copytree(IRIS, project / "scripts/iris")

    said = aml(
        *("run", "-m", "script=train_iris", HERE, "compute.slots=2", "sweep.primary_metric=Accuracy"),
        "script.arguments.kernel=linear,rbf,poly,sigmoid",
        *("script.arguments.penalty=0.5,1,1.5", "model=sklearn", "model.name=sklearn-iris", "deployment=bento"),
        env={"BENTOML_HOME": str(tmp_path / "bentoml")},
    )

    parent, trials = sweep_and_trials(aml)
    assert [(run["parameters"], round(run["metrics"]["Accuracy"], 4)) for run in trials] == [
        ({"kernel": kernel, "penalty": penalty}, 0.2368 if kernel == "sigmoid" else 0.9737)
        for kernel in ("linear", "rbf", "poly", "sigmoid")
        for penalty in (0.5, 1, 1.5)
    ]
    assert {run["state"] for run in trials} == {"Completed"}
    assert (parent["state"], round(parent["metrics"]["Accuracy"], 4)) == ("Completed", 0.9737)
    (model,) = aml("models", "--json").json
    assert (model["name"], model["run"]) == ("sklearn-iris", trials[0]["id"])  # nine points tie; the earliest counts
    assert "registered sklearn-iris:1" in said.err
    assert "sklearn-iris:1" in aml("runs").out  # the row of the sweep
    assert "packaged sklearn-iris:" in said.err
    shown = aml("show", parent["id"], "--json").json
    assert shown["tags"]["best"] == trials[0]["id"]
    assert shown["sweep"]["search_space"]["script.arguments.kernel"] == "one of linear, rbf, poly, sigmoid"


@pytest.mark.usefixtures("toy")
def test_a_learning_sampler_finds_a_good_point_and_a_seed_repeats_it(aml: Aml) -> None:
    command = ["run", "-m", "script=toy", HERE, "sweep=tpe", "sweep.primary_metric=score", "sweep.seed=3"]
    space = ["script.arguments.x=interval(-10,10)", "script.arguments.kind=a,b", "sweep.max_total_runs=15"]

    planned = aml(*command, *space, "--dry-run")
    aml(*command, *space)

    parent, trials = sweep_and_trials(aml)
    assert len(trials) == 15
    assert parent["metrics"]["score"] == max(run["metrics"]["score"] for run in trials) > -1
    assert str(trials[0]["parameters"]["x"]) in planned.out
    assert "float from -10 to 10" in planned.out


@pytest.mark.usefixtures("toy")
def test_a_dry_run_starts_nothing(project: Path, aml: Aml) -> None:
    said = aml("run", "-m", "--dry-run", "script=toy", HERE, "script.arguments.x=1,2,3")

    assert "max_total_runs: 3" in said.out
    assert "first_trials:\n- script.arguments.x: 1\n" in said.out
    assert not (project / "outputs").exists()


@pytest.mark.usefixtures("toy")
def test_a_trial_that_fails_is_its_own_result(aml: Aml) -> None:
    said = aml("run", "-m", "script=toy", HERE, "script.arguments.kind=fails,silent,a", "sweep.primary_metric=score")

    parent, trials = sweep_and_trials(aml)
    assert [run["state"] for run in trials] == ["Failed", "Completed", "Completed"]
    assert parent["state"] == "Completed"
    assert "best: trial 2" in said.err
    assert "trial 0: fail: the script ended with exit status 1: no such kind" in said.err
    assert aml("logs", parent["id"]).err == said.err.replace("aml: ", "").partition("\n")[2]
    assert "the script did not log it; available: other" in said.err
    assert [line.split()[0] for line in said.out.splitlines()] == ["trial", "2", "0", "1"]


def test_a_metric_that_is_not_finite_is_a_failure(aml: Aml, write: Write) -> None:
    write("train.py", "import sys\nfrom amlcore import Run\nRun.get_context().log('m', eval(sys.argv[2]))\n")
    space = "+script.arguments.x=1,2,'float(\"inf\")','float(\"nan\")','-10**400','\"much\"'"

    said = aml("run", "-m", "train.py", HERE, space, "sweep.primary_metric=m", "sweep.max_failures=4", "model=none")

    assert "aml: best: trial 1, m=2" in said.err
    for number, words in enumerate(
        ["inf, which is not a finite", "nan, which is not a finite", "-inf, which is not a finite"], 2
    ):
        assert f"aml: trial {number}: fail: m is {words} number" in said.err
    assert "aml: trial 5: fail: m is much, which is not a number" in said.err
    assert "aml: 6 trials: 2 done, 0 pruned, 4 failed" in said.err


@pytest.mark.usefixtures("toy")
def test_a_metric_that_nobody_logs_is_said_at_the_first_trial(aml: Aml) -> None:
    said = aml("run", "-m", "script=toy", HERE, "script.arguments.x=1,2", "sweep.primary_metric=scor", status=1)

    assert (
        "aml: warning: trial 0: sweep.primary_metric=scor: the script did not log it; did you mean 'score'" in said.err
    )
    assert said.err.count("warning:") == 1
    assert "none of 2 trials produced a result" in said.err


@pytest.mark.usefixtures("toy")
def test_a_sweep_without_a_metric_runs_all_its_points(aml: Aml) -> None:
    aml("run", "-m", "script=toy", HERE, "script.arguments.x=1,2", "script.arguments.kind=a,b")

    parent, trials = sweep_and_trials(aml)
    assert [run["parameters"]["x"] for run in trials] == [1, 1, 2, 2]
    assert parent["state"] == "Completed"


@pytest.mark.usefixtures("toy")
def test_too_many_failed_trials_fail_the_sweep(aml: Aml) -> None:
    said = aml(
        *("run", "-m", "script=toy", HERE, "script.arguments.kind=fails", "sweep.max_failures=1"),
        "script.arguments.x=range(0,20)",
        status=1,
    )

    _, trials = sweep_and_trials(aml)
    assert len(trials) == 2
    assert "more trials failed than sweep.max_failures=1" in said.err


@pytest.mark.usefixtures("toy")
def test_limits_of_time_end_a_trial_and_a_sweep(aml: Aml) -> None:
    aml("run", "-m", "script=toy", HERE, "script.arguments.sleep=0,60", "sweep.trial_timeout_min=0.03")
    _, trials = sweep_and_trials(aml)
    assert [run["state"] for run in trials] == ["Completed", "Failed"]
    assert "longer than its limit" in trials[1]["reason"]

    aml("run", "-m", "script=toy", HERE, "script.arguments.sleep=0,60,61", "sweep.max_duration_minutes=0.08")
    parent, trials = sweep_and_trials(aml)
    assert [run["state"] for run in trials] == ["Completed", "Canceled"]
    assert trials[1]["reason"] == parent["reason"] == "the sweep reached sweep.max_duration_minutes=0.08"


@pytest.mark.usefixtures("toy")
def test_one_slot_serves_the_workers_of_several_kinds_in_turn(aml: Aml, write: Write) -> None:
    write("src/other.py", "print('other')")
    write("conf/script/other.yaml", SCRIPT.replace("train.py", "other.py"))

    aml("run", "-m", "script=toy,other", HERE, "script.arguments.x=1,2", "compute.warm=true,false")

    _, trials = sweep_and_trials(aml)
    assert [run["state"] for run in trials] == ["Completed"] * 8
    assert [run["script"] for run in trials] == ["train.py"] * 4 + ["other.py"] * 4


def test_an_interrupted_sweep_is_canceled_with_its_trials_which_a_resume_tries_again(
    project: Path, aml: Aml, write: Write
) -> None:
    write("src/train.py", "import os, time\nwhile not os.path.exists(os.environ['GO']):\n    time.sleep(0.02)\n" + LOGS)
    write("conf/script/toy.yaml", SCRIPT + f"environment_variables: {{GO: {project}/go}}\n")
    arguments = ["run", "-m", "script=toy", HERE, "script.arguments.x=1,2,3", "compute.slots=2"]
    with background(project, *arguments, "sweep.primary_metric=score", "sweep.max_failures=0") as process:
        until(lambda: len(list(project.glob("outputs/train/*/attempts/1/claim.json"))) == 2 or None)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    parent, trials = sweep_and_trials(aml)
    assert (parent["state"], [run["state"] for run in trials]) == ("Canceled", ["Canceled", "Canceled"])

    (project / "go").touch()
    said = aml("resume", "latest").err

    parent, trials = sweep_and_trials(aml)
    assert [run["parameters"]["x"] for run in trials] == [1, 2, 1, 2, 3]
    assert [run["state"] for run in trials] == ["Canceled"] * 2 + ["Completed"] * 3
    assert (parent["state"], parent["metrics"]["score"]) == ("Completed", 0)
    assert "5 trials: 3 done, 0 pruned, 0 failed, 2 canceled with the sweep" in said
    assert "[3 of 3, best" in said


@pytest.mark.usefixtures("toy")
def test_a_detached_sweep_goes_on_and_can_be_canceled(project: Path, aml: Aml) -> None:
    aml("run", "-m", "--detach", "script=toy", HERE, "script.arguments.x=1,2,3", "sweep.primary_metric=score")
    assert aml("wait", "latest").status == 0
    assert len(sweep_and_trials(aml)[1]) == 3

    aml("run", "-m", "--detach", "script=toy", HERE, "script.arguments.sleep=60,61")
    parent = aml("runs", "--json").json[0]["id"]
    until(lambda: list(project.glob(f"outputs/*/{parent}_0/attempts/1/claim.json")))
    aml("cancel", parent)

    parent_run, trials = sweep_and_trials(aml)
    assert (parent_run["state"], [run["state"] for run in trials]) == ("Canceled", ["Canceled"])


@pytest.mark.usefixtures("toy")
def test_a_sweep_in_a_trial_is_refused(aml: Aml, write: Write) -> None:
    write(
        "src/nested.py",
        "import subprocess, sys\n"
        "command = [sys.executable, '-m', 'amlcore', 'run', '-m', 'nested.py', 'environment=current']\n"
        "done = subprocess.run([*command, 'compute.cores=1,2'], capture_output=True, text=True)\n"
        "print(done.returncode, done.stderr)\n",
    )

    aml("run", "-m", "src/nested.py", HERE, "compute.cores=1,2")

    _, trials = sweep_and_trials(aml)
    said = aml("logs", trials[0]["id"]).out
    assert said.startswith("2 ")
    assert "cannot start a sweep" in said


def test_a_sweep_that_asks_for_too_little_is_refused_before_it_starts(project: Path, aml: Aml, write: Write) -> None:
    write("a.py", "")

    assert (
        "primary_metric"
        in aml("run", "-m", "a.py", HERE, "compute.cores=1,2", "model=sklearn", "model.name=m", status=2).err
    )
    assert "several values need `aml run -m`" in aml("run", "a.py", HERE, "compute.cores=1,2", status=2).err
    assert not (project / "outputs").exists()
    aml("run", "-m", "a.py", HERE)
    assert json.loads(aml("runs", "--json").out)[0]["parent"] is None


RESUMED = [
    "run",
    "-m",
    "script=toy",
    HERE,
    "sweep=tpe",
    "sweep.seed=1",
    "sweep.primary_metric=score",
    "compute.slots=2",
]


@pytest.mark.usefixtures("toy")
def test_a_resumed_sweep_may_go_further_and_a_running_one_is_left_alone(project: Path, aml: Aml) -> None:
    space = ["script.arguments.x=interval(-10,10)"]
    assert "no sweep of this search" in aml(*RESUMED, *space, "sweep.resume=true", status=2).err
    aml(*RESUMED, *space, "sweep.max_total_runs=3")
    before = [run["parameters"]["x"] for run in sweep_and_trials(aml)[1]]

    assert "nothing left to run: all 3 trials have ended" in aml("resume", "latest").err
    further = aml(*RESUMED, *space, "sweep.max_total_runs=6", "sweep.resume=true")

    assert "nothing left to run" not in further.err
    _, trials = sweep_and_trials(aml)
    assert len(aml("runs", "--json").json) == 1
    assert [run["parameters"]["x"] for run in trials][:3] == before
    assert len({run["parameters"]["x"] for run in trials}) == 6
    assert (
        "no sweep of this search"
        in aml(*RESUMED, "script.arguments.x=interval(0,1)", "sweep.resume=true", status=2).err
    )
    assert "is not a sweep" in aml("resume", trials[0]["id"], status=2).err
    aml("run", "-m", "--detach", "script=toy", HERE, "script.arguments.sleep=60,61")
    running = aml("runs", "--json").json[0]["id"]
    assert "is still running; use" in aml("resume", running, status=2).err
    aml("cancel", running)


@pytest.mark.usefixtures("toy")
def test_a_sweep_whose_record_is_damaged_is_named_and_hides_no_other(project: Path, aml: Aml) -> None:
    space = ["script.arguments.x=interval(-10,10)"]
    aml(*RESUMED, *space, "sweep.max_total_runs=1")
    first, _ = sweep_and_trials(aml)
    damaged = Path(first["folder"]).with_name("99990101-000000-abcdef")
    shutil.copytree(first["folder"], damaged)
    (damaged / "sweep.json").write_text('{"bases": 1')

    said = aml(*RESUMED, *space, "sweep.max_total_runs=2", "sweep.resume=true")

    assert f"warning: skipping a sweep: {damaged}/sweep.json is damaged" in said.err
    assert f"resuming sweep {first['id']}" in said.err
    assert "sweep.json is damaged" in aml("resume", damaged.name, status=1).err
