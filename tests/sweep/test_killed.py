"""A sweep whose driver is killed again and again, at any moment of its work."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from amlcore.app.drive import drive
from amlcore.execution.trial_runs import TrialRuns
from amlcore.runs.reconcile import locked
from amlcore.sweep.study import Trial
from amlcore.worker.files import read_json
from tests.support.aml import HERE, Aml, Write, background, until
from tests.support.sweeps import sweep_and_trials

TRIALS = 40
KILLS = TRIALS // 2
SLOTS = 2
CRASHES = 5
SEED = int(os.environ.get("AMLCORE_TEST_SEED", "0"))
CREATE_TRIAL, SET_PARAM, SET_STATE = 4, 5, 6
"""Operations in the journal of Optuna."""

# A trial ends once the test lets as many end: a fast machine cannot be done before the last kill.
GATED = """
import argparse, os, time
from amlcore import Run
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
parser.add_argument("--kind")
parser.add_argument("--gate")
args = parser.parse_args()
Run.get_context().log("score", -(args.x - 3) ** 2)
number = int(os.environ["AMLCORE_RUN"].rpartition("_")[2])
while int(open(args.gate).read() or 0) <= number:
    time.sleep(0.01)
print("ran")
"""


class Killed:
    """A sweep of which each driver is killed at its own point of the journal."""

    def __init__(self, project: Path) -> None:
        self._project = project
        self.gate = project / "gate"
        self.command = [
            *("run", "-m", "train.py", "environment=current", "sweep=tpe", "sweep.seed=1", f"compute.slots={SLOTS}"),
            *("sweep.primary_metric=score", f"sweep.max_total_runs={TRIALS}", f"+script.arguments.gate={self.gate}"),
            *("+script.arguments.x=interval(-10,10)", "+script.arguments.kind=a,b"),
        ]

    @property
    def folder(self) -> Path | None:
        return next((path.parent for path in self._project.glob("outputs/*/*/sweep.json")), None)

    @property
    def journal(self) -> list[dict[str, Any]]:
        """What Optuna has written of the trials; the last line may be half written."""
        file = self._project / "no sweep" if self.folder is None else self.folder / "study.jsonl"
        lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
        written = [json.loads(line) for line in lines if line.endswith(b"\n")]
        return [line for line in written if line["op_code"] in (CREATE_TRIAL, SET_PARAM, SET_STATE)]

    def let_end(self, trials: int) -> None:
        """Let the first so many trials end, and no other."""
        later = self.gate.with_name("later")
        later.write_text(str(trials))
        later.rename(self.gate)

    @contextmanager
    def driven(self, arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
        """A driver that has the sweep in hand."""
        with background(self._project, *arguments) as process:
            until(lambda: self._driver() == process.pid or process.poll() is not None, within_s=60)
            yield process

    def _driver(self) -> int | None:
        driver = None if self.folder is None else read_json(str(self.folder / "driver.json"))
        return None if driver is None else int(driver["pid"])


@pytest.mark.slow
def test_twenty_killed_drivers_lose_no_trial_and_repeat_none(project: Path, aml: Aml, write: Write) -> None:
    """Each is killed after as many lines of the study as it was drawn for; at the end record and study agree."""
    write("train.py", GATED)
    sweep, moments = Killed(project), random.Random(SEED)
    for kill in range(KILLS):
        ended = SLOTS * kill
        sweep.let_end(ended)
        # A trial is created, gets its two values and an end: so much is in the journal when the gate holds all slots.
        held = 3 * (ended + SLOTS) + ended
        lines = moments.randint(held - 4 * SLOTS + 1, held)
        again = ["aml resume", "sweep.resume=true"][kill % 2]
        resumed = ["resume", "latest"] if again == "aml resume" else [*sweep.command, "sweep.resume=true"]
        with sweep.driven(resumed if kill else sweep.command) as process:
            until(lambda lines=lines: len(sweep.journal) >= lines or process.poll() is not None, within_s=60)
            assert process.poll() is None, process.communicate()  # it is killed in the middle of its work, every time
            process.send_signal(signal.SIGKILL)
            process.wait()
    sweep.let_end(TRIALS)
    aml("resume", "latest")

    parent, trials = sweep_and_trials(aml)
    told = [line for line in sweep.journal if line["op_code"] == SET_STATE and line["state"] in (1, 2, 3)]
    assert parent["state"] == "Completed"
    assert len(aml("runs", "--json").json) == 1
    assert [run["id"] for run in trials] == [f"{parent['id']}_{number}" for number in range(TRIALS)]
    assert Counter(line["op_code"] for line in sweep.journal)[CREATE_TRIAL] == TRIALS
    assert sorted(line["trial_id"] for line in told) == list(range(TRIALS))
    assert {run["state"] for run in trials} == {"Completed"}
    values = {line["trial_id"]: line["values"] for line in told}
    assert [values[number] for number in range(TRIALS)] == [[run["metrics"]["score"]] for run in trials]
    assert len({run["parameters"]["x"] for run in trials}) == TRIALS
    assert [run["attempt"] for run in trials] == [1] * TRIALS
    assert [(Path(run["folder"]) / "logs/stdout.txt").read_text() for run in trials] == ["ran\n"] * TRIALS
    assert parent["metrics"]["score"] == max(run["metrics"]["score"] for run in trials)


@pytest.mark.slow
@pytest.mark.parametrize(("sampler", "number"), [("grid", "SIGKILL"), ("random", "SIGKILL"), ("random", "SIGINT")])
def test_a_driver_may_end_at_any_of_its_file_operations(sampler: str, number: str, tmp_path: Path) -> None:
    """Of some three hundred a few are tried, always the same; with 0 for their count all of them are."""
    command = [sys.executable, "-m", "tests.support.crashes", str(tmp_path / "project"), sampler, number, str(CRASHES)]

    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])

    *wrong, operations = done.stdout.splitlines()
    assert wrong == []
    assert int(operations) > 100


def resumed(project: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """A driver that does not look first whether there is another, as one that lost the race for it would."""
    code = (
        "import sys, pathlib; from amlcore.app.drive import drive; "
        f"sys.exit(drive(pathlib.Path({str(folder)!r}), log=print))"
    )
    return subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=False)


def test_of_two_drivers_one_gives_way_and_disturbs_nothing(project: Path, aml: Aml, write: Write) -> None:
    write("train.py", GATED)
    sweep = Killed(project)
    sweep.let_end(0)
    with sweep.driven([*sweep.command, "sweep.max_total_runs=3"]) as process:
        assert sweep.folder is not None
        second = resumed(project, sweep.folder)
        assert second.returncode != 0
        assert "another process drives this sweep" in second.stderr
        assert "is still running; use" in aml("resume", "latest", status=2).err
        assert aml("runs", "--json").json[0]["state"] == "Running"
        sweep.let_end(3)
        assert process.wait(60) == 0

    assert {run["state"] for run in sweep_and_trials(aml)[1]} == {"Completed"}


def test_of_two_that_resume_a_sweep_at_once_one_drives_it(project: Path, aml: Aml, write: Write) -> None:
    """Both have seen that nobody drives it: they wait for the same lock when it is released."""
    write("train.py", GATED)
    sweep = Killed(project)
    sweep.let_end(0)
    with sweep.driven([*sweep.command, "sweep.max_total_runs=3"]) as process:
        process.kill()
        process.wait()
    folder = sweep.folder
    assert folder is not None
    with ExitStack() as stack:
        with locked(folder):
            both = [stack.enter_context(background(project, "resume", folder.name)) for _ in range(2)]
            for one in both:
                until(lambda pid=one.pid: str(folder) in open_files(pid), within_s=60)
        until(lambda: any(one.poll() is not None for one in both), within_s=60)
        second, first = sorted(both, key=lambda one: one.poll() is None)
        assert second.communicate()[1].endswith("is still running; use `aml wait` or `aml cancel`\n")
        assert (second.returncode, first.poll()) == (2, None)
        assert json.loads((folder / "driver.json").read_text())["pid"] == first.pid
        assert aml("runs", "--json").json[0]["state"] == "Running"
        sweep.let_end(3)
        assert first.wait(60) == 0

    assert {run["state"] for run in sweep_and_trials(aml)[1]} == {"Completed"}


def open_files(pid: int) -> set[str]:
    return {os.path.realpath(link) for link in Path(f"/proc/{pid}/fd").iterdir()}


def test_an_interruption_while_a_sweep_is_taken_up_again_cancels_what_was_left_of_it(
    project: Path, aml: Aml, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("train.py", GATED)
    sweep = Killed(project)
    sweep.let_end(0)
    with sweep.driven([*sweep.command, "sweep.max_total_runs=3"]) as process:
        until(lambda: len([*project.glob("outputs/*/*/attempts/1/claim.json")]) == SLOTS)
        process.send_signal(signal.SIGKILL)
    assert sweep.folder is not None
    start = TrialRuns.start

    def interrupted(runs: TrialRuns, trial: Trial) -> None:
        if trial.number == 0:
            os.kill(os.getpid(), signal.SIGINT)
        start(runs, trial)

    monkeypatch.setattr(TrialRuns, "start", interrupted)

    assert drive(sweep.folder, log=print) == 130

    parent, trials = sweep_and_trials(aml)
    assert (parent["state"], [run["state"] for run in trials]) == ("Canceled", ["Canceled"] * SLOTS)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("study", ["study.jsonl, line 2, is not a valid Optuna journal"]),
        (
            "no study",
            ["_0 holds a different trial than this number has in the study", "move the folder away to continue"],
        ),
    ],
)
def test_a_study_that_was_damaged_or_lost_overwrites_nothing(
    damage: str, said: list[str], project: Path, aml: Aml, write: Write
) -> None:
    write("train.py", GATED)
    sweep = Killed(project)
    sweep.let_end(TRIALS)
    sweep.command.remove("sweep.seed=1")
    aml(*sweep.command, "sweep.max_total_runs=2")
    assert sweep.folder is not None
    study, before = sweep.folder / "study.jsonl", sweep_and_trials(aml)[1]
    first, _, *rest = study.read_text().splitlines(keepends=True)
    study.write_text("".join([first, '{"op_code": 4, \n', *rest]) if damage == "study" else "")

    resumed = aml("resume", "latest", status=1)

    assert [words for words in said if words not in resumed.err] == []
    assert sweep_and_trials(aml)[1] == before


def test_a_trial_whose_worker_died_before_it_began_is_carried_out(project: Path, aml: Aml, write: Write) -> None:
    """The worker has claimed the request and is gone, like its driver; the other trial's script was killed."""
    write("train.py", GATED)
    sweep = Killed(project)
    sweep.let_end(0)
    with sweep.driven([*sweep.command, "sweep.max_total_runs=3"]) as process:
        claims = until(lambda: (found := [*project.glob("outputs/*/*/attempts/1/claim.json")])[1:] and found)
        process.send_signal(signal.SIGKILL)
        process.wait()
    for claim in claims:
        for name in ("worker", "script"):
            os.kill(read_json(str(claim))[name]["pid"], signal.SIGKILL)
    new = Path(read_json(str(claims[0].parents[2] / "queued.json"))["path"])
    owners = new.parents[1] / "claimed"
    until(lambda: not [*owners.glob("*/*")])
    unbegun = read_json(str(claims[0].parents[2] / "request.json"))
    (owners / "gone").mkdir()
    (owners / "gone" / new.name).write_text(json.dumps(unbegun))
    shutil.rmtree(claims[0].parents[1])
    sweep.let_end(3)

    aml("resume", "latest")

    parent, trials = sweep_and_trials(aml)
    number = int(unbegun["run"].rpartition("_")[2])
    assert trials[number]["state"] == "Completed"
    assert sorted(run["state"] for run in trials) == ["Completed", "Completed", "Failed"]
    assert parent["state"] == "Completed"


@pytest.mark.parametrize("looked", [False, True])
def test_a_trial_whose_processes_ended_with_the_machine_is_tried_again(
    looked: bool, project: Path, aml: Aml, write: Write
) -> None:
    write("train.py", GATED)
    sweep = Killed(project)
    sweep.let_end(0)
    with sweep.driven([*sweep.command, "sweep.max_total_runs=3"]) as process:
        claims = until(lambda: (found := [*project.glob("outputs/*/*/attempts/1/claim.json")])[1:] and found)
        process.send_signal(signal.SIGKILL)
        process.wait()
    processes = []
    for claim in map(read_json, map(str, claims)):
        supervisor = claim["worker"]["pid"]
        worker = int(Path(f"/proc/{supervisor}/stat").read_text().rpartition(")")[2].split()[1])
        processes += [worker, supervisor, claim["script"]["pid"]]
    for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped first: none may write how another one ended
        for pid in processes:
            os.kill(pid, number)
    if looked:
        until(lambda: "Failed" in [run["state"] for run in sweep_and_trials(aml)[1]])
    sweep.let_end(3)

    aml("resume", "latest")

    parent, trials = sweep_and_trials(aml)
    assert [(run["state"], run["reason"]) for run in trials] == [("Completed", None)] * 3
    assert parent["state"] == "Completed"


SAVES = """
import argparse, os, pathlib, time
from amlcore import Run
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
parser.add_argument("--gate")
args = parser.parse_args()
if args.x == 4:
    while not os.path.exists(args.gate):
        time.sleep(0.01)
Run.get_context().log("score", args.x)
os.makedirs("outputs", exist_ok=True)
pathlib.Path("outputs/model.txt").write_text("kept")
"""


@contextmanager
def _crashed(project: Path, write: Write) -> Iterator[Path]:
    """The folder of a sweep whose driver was killed while the last of its four trials was running."""
    gate = project / "gate"
    write("train.py", SAVES)
    search = ("compute.slots=1", "sweep=grid", "sweep.primary_metric=score", f"+script.arguments.gate={gate}")
    with background(project, "run", "-m", "train.py", HERE, *search, "+script.arguments.x=1,2,3,4") as driver:
        (claim,) = until(lambda: [*project.glob("outputs/train/*_3/attempts/1/claim.json")])
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    gate.touch()
    trial = claim.parents[2]
    yield trial.with_name(trial.name.removesuffix("_3"))


def _empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGES = {
    "no folder": shutil.rmtree,
    "no state": lambda trial: (trial / "state.json").unlink(),
    "an empty state": lambda trial: _empty(trial / "state.json"),
    "an older state": lambda trial: (trial / "state.json").write_text(json.dumps({"state": "Running", "at": 1.0})),
    "empty metrics": lambda trial: [_empty(path) for path in (trial / "metrics").iterdir()],
    "an empty output": lambda trial: _empty(trial / "outputs/model.txt"),
    "no config": lambda trial: _empty(trial / "config.yaml"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_trial_whose_record_a_power_cut_took_runs_again(damage: str, project: Path, write: Write, aml: Aml) -> None:
    with _crashed(project, write) as sweep:
        DAMAGES[damage](sweep.with_name(f"{sweep.name}_1"))

    said = aml("resume", sweep.name).err

    assert "run again: 1\n" in said
    _, trials = sweep_and_trials(aml)
    assert sorted((trial["state"], trial["metrics"]["score"]) for trial in trials) == [
        ("Completed", score) for score in (1.0, 2.0, 3.0, 4.0)
    ]
    assert [(sweep.with_name(f"{sweep.name}_{n}") / "outputs/model.txt").read_text() for n in range(4)] == ["kept"] * 4


def test_a_trial_that_somebody_removed_after_the_sweep_stays_removed(project: Path, write: Write, aml: Aml) -> None:
    write("train.py", SAVES)
    (project / "gate").touch()
    search = ("sweep=grid", "sweep.primary_metric=score", f"+script.arguments.gate={project / 'gate'}")
    aml("run", "-m", "train.py", HERE, *search, "+script.arguments.x=1,2")
    sweep, _ = sweep_and_trials(aml)
    shutil.rmtree(f"{sweep['folder']}_0")

    said = aml("resume", sweep["id"]).err

    assert "run again" not in said
    assert not Path(f"{sweep['folder']}_0").exists()
