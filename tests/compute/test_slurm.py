"""A real Slurm: the conformance suite, and what only a cluster does to a run."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from amlcore.compute import Slurm
from amlcore.record.record import Record
from tests.support import users
from tests.support.aml import TRAIN, Aml, Write, background, runs, until
from tests.support.compute_conformance import Conformance, require
from tests.support.users import User, group_workspace

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]

HOME = Path(os.environ.get("SLURM_HOME", "/var/tmp/amlcore-slurm"))
SLURM = ("environment=current", "compute=slurm")
COLLEAGUES = (41001, 41002)  # as tests/slurm/up makes them
WAITS = """
import os, socket, sys, time
from amlcore import Run
run = Run.get_context()
attempt = os.environ["AMLCORE_ATTEMPT"]
kept = os.path.join(run.checkpoint_dir, "kept")
before = open(kept).read() if os.path.exists(kept) else ""
open(kept, "a").write(attempt)
print("attempt", attempt, "on", socket.gethostname(), "after", before, flush=True)
open("outputs/" + attempt, "w").write("x")
while not os.path.exists(sys.argv[1]) or attempt == "1":
    run.log("attempt", int(attempt))
    time.sleep(0.05)
"""
TRIAL = """
import os, sys, time
from amlcore import Run
print(os.environ["SLURM_JOB_ID"], flush=True)
for _ in range(int(sys.argv[2]) * 4):
    Run.get_context().log("score", float(sys.argv[4]))
    time.sleep(0.25)
"""
FALLING = """
import os, sys, time
from amlcore import Run
attempt, ahead = int(os.environ["AMLCORE_ATTEMPT"]), sys.argv[2] == "ahead"
for interval in (1, 2, 3):
    Run.get_context().log("score", 0.9 if ahead else (10 * attempt + interval) / 100)
    if attempt == 1 and not ahead and interval == 2:
        time.sleep(600)
    time.sleep(0 if ahead else 0.3)
time.sleep(0 if ahead else 600)
"""
HELD = """
import os, sys, time
from amlcore import Run
Run.get_context().log("score", float(sys.argv[4]))
while not os.path.exists(os.path.join(sys.argv[2], sys.argv[4])):
    time.sleep(0.02)
"""


@pytest.fixture(autouse=True)
def cluster() -> Iterator[None]:
    """Waits until all three nodes are idle before a test, and checks that it leaves nothing behind."""
    require("scontrol", variable="AMLCORE_REQUIRE_SLURM")
    slurm("scancel", "--user=root")
    until(lambda: slurm("squeue", "--noheader") == "", within_s=60)
    until(
        lambda: slurm("sinfo", "--noheader", "--partition=main", "--format=%D %t").split() == ["3", "idle"], within_s=60
    )
    yield
    slurm("scancel", "--user=root")


def slurm(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def start_again(job: str) -> None:
    """Skip the pause of a requeued job; Slurm refuses one that it has killed in the same second."""
    time.sleep(1.5)
    slurm("scontrol", "update", f"JobId={job}", "StartTime=now")


def job_of(run: dict[str, Any]) -> str:
    """The newest job of the queue that holds the request of a run."""
    queued = json.loads((Path(run["folder"]) / "queued.json").read_text())
    return max(path.name for path in (Path(queued["path"]).parent.parent / "jobs").iterdir())


def running(aml: Aml) -> dict[str, Any]:
    return dict(until(lambda: next((run for run in runs(aml) if run["state"] == "Running"), None), within_s=60))


@pytest.fixture
def interrupted(project: Path, aml: Aml, write: Write) -> Callable[..., Any]:
    """Start a run, interrupt its first attempt, and wait for the end of the second."""

    @contextmanager
    def run(interrupt: Callable[[str], None], *overrides: str) -> Iterator[subprocess.Popen[str]]:
        write("a.py", WAITS)
        with background(project, "run", "a.py", *SLURM, *overrides, "--", str(project / "go")) as driver:
            assert driver.stdout is not None
            first = driver.stdout.readline()
            assert first.startswith("attempt 1 on n"), first
            job = job_of(running(aml))
            interrupt(job)
            until(lambda: runs(aml)[0]["state"] == "Queued", within_s=90)
            reason = str(runs(aml)[0]["reason"])
            assert "attempt 1 was interrupted" in reason, reason
            start_again(job)
            yield driver

    return run


class TestSlurm(Conformance):
    overrides = ("compute=slurm",)
    keeps_queued_runs = True

    @contextmanager
    def full(self, project: Path, aml: Aml, write: Write) -> Iterator[None]:
        slurm("sbatch", "--job-name=filler", "--nodes=3", "--exclusive", "--output=/dev/null", "--wrap=sleep 600")
        until(lambda: slurm("squeue", "--noheader", "--states=RUNNING", "--format=%j") == "filler")
        yield
        slurm("scancel", "--name=filler")

    def says_why(self, run: dict[str, Any]) -> bool:
        return "no node has enough free cores or memory" in str(run["reason"])


def test_a_requeued_run_starts_again_and_keeps_its_checkpoints(
    project: Path, aml: Aml, interrupted: Callable[..., Any]
) -> None:
    with interrupted(lambda job: slurm("scontrol", "requeue", job)) as driver:
        second = driver.stdout.readline()
        assert second.startswith("attempt 2 on n")
        assert second.endswith("after 1\n")
        (project / "go").touch()
        assert driver.wait(60) == 0

    (run,) = runs(aml)
    assert (run["state"], run["attempt"]) == ("Completed", 2)
    logs = Path(run["folder"]) / "logs"
    assert (logs / "attempt-1/stdout.txt").read_text().startswith("attempt 1")
    assert (logs / "stdout.txt").read_text().startswith("attempt 2")
    assert [item["path"] for item in aml("show", "latest", "--json").json["outputs"]] == ["outputs/2"]


def test_a_node_killed_is_left_and_its_orphan_fenced_off(
    project: Path, aml: Aml, interrupted: Callable[..., Any]
) -> None:
    killed: list[str] = []

    def kill_node(job: str) -> None:
        killed.append(slurm("squeue", "--noheader", f"--job={job}", "--format=%N"))
        pids = [int((HOME / f"run/slurmd.{killed[0]}.pid").read_text()), *stepds(job)]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    try:
        with interrupted(kill_node) as driver:
            second = driver.stdout.readline()
            assert second.startswith("attempt 2 on n"), second
            assert killed[0] not in second
            orphan = json.loads((Path(runs(aml)[0]["folder"]) / "attempts/1/claim.json").read_text())
            assert Path(f"/proc/{orphan['script']['pid']}").exists()
            until(lambda: runs(aml)[0]["metrics"]["attempt"] == 2)
            records = aml("show", "latest", "--json").json["series"]
            first = next(place for place, record in enumerate(records) if record["value"] == 2)
            assert {record["value"] for record in records[first:]} == {2}  # although the orphan goes on logging
            (project / "go").touch()
            assert driver.wait(60) == 0
        os.kill(orphan["script"]["pid"], signal.SIGKILL)  # its supervisor writes a result now, of attempt 1
        until((Path(runs(aml)[0]["folder"]) / "attempts/1/result.json").exists)
    finally:
        subprocess.run([Path(__file__).parents[1] / "slurm/up"], check=True, capture_output=True)

    (run,) = runs(aml)
    assert (run["state"], run["attempt"]) == ("Completed", 2)
    assert [item["path"] for item in aml("show", "latest", "--json").json["outputs"]] == ["outputs/2"]


def stepds(job: str) -> list[int]:
    pgrep = subprocess.run(["pgrep", "-f", rf"^slurmstepd: \[{job}\."], capture_output=True, text=True, check=False)
    return [int(pid) for pid in pgrep.stdout.split()]


def test_a_run_interrupted_too_often_fails(project: Path, aml: Aml, write: Write) -> None:
    write("a.py", WAITS)
    with background(project, "run", "a.py", *SLURM, "compute.max_requeues=1", "--", str(project / "never")) as driver:
        for attempt in (1, 2):
            assert driver.stdout.readline().startswith(f"attempt {attempt}")
            job = job_of(running(aml))
            slurm("scontrol", "requeue", job)
            until(
                lambda job=job: "PENDING" in slurm("squeue", "--noheader", f"--job={job}", "--format=%T"), within_s=60
            )
            start_again(job)
        assert driver.wait(60) == 1

    (run,) = runs(aml)
    assert run["reason"] == "interrupted 2 times, more than compute.max_requeues=1"


def test_a_requeue_needs_no_driver(project: Path, aml: Aml, write: Write) -> None:
    write("a.py", WAITS)
    with background(project, "run", "a.py", *SLURM, "--", str(project / "go")) as driver:
        driver.stdout.readline()
        driver.kill()
    job = job_of(running(aml))
    slurm("scontrol", "requeue", job)
    until(lambda: runs(aml)[0]["state"] == "Queued", within_s=60)
    start_again(job)
    (project / "go").touch()

    assert aml("wait", "latest").status == 0
    assert aml("logs", "latest").out.endswith("after 1\n")


@pytest.mark.slow
def test_a_requeued_trial_is_judged_by_the_intervals_of_its_newest_attempt(
    project: Path, aml: Aml, write: Write
) -> None:
    write("a.py", FALLING)

    def falling() -> dict[str, Any] | None:
        return next((run for run in runs(aml, "--children") if run["parameters"].get("kind") == "falling"), None)

    with background(
        *(project, "run", "-m", "a.py", *SLURM, "compute.slots=1", "sweep=grid", "model=none"),
        *("+script.arguments.kind=ahead,falling", "sweep.primary_metric=score", "sweep/early_termination=bandit"),
        *("sweep.early_termination.slack_factor=0.1", "sweep.early_termination.delay_evaluation=3"),
    ) as driver:
        trial = until(lambda: (run := falling()) and run["metrics"].get("score") == 0.12 and run, within_s=90)
        job = job_of(trial)
        slurm("scontrol", "requeue", job)
        until(lambda: "attempt 1 was interrupted" in str((falling() or {})["reason"]), within_s=90)
        start_again(job)
        assert driver.wait(90) == 0

    judged = falling()
    assert judged is not None
    assert (judged["state"], judged["attempt"], judged["metrics"]) == ("Canceled", 2, {"score": 0.23})
    # The first of the second attempt would be the third of all.
    assert judged["reason"].startswith("early termination by bandit: 0.23 at interval 3, the best is 0.9")


@pytest.mark.parametrize("driven", [True, False])
def test_a_run_is_canceled_while_its_job_waits_to_be_started_again(
    driven: bool, project: Path, aml: Aml, write: Write
) -> None:
    write("a.py", WAITS)
    with background(project, "run", "a.py", *SLURM, "--", str(project / "never")) as driver:
        driver.stdout.readline()
        if not driven:
            driver.kill()
        slurm("scontrol", "requeue", job_of(running(aml)))
        until(lambda: "BeginTime" in str(runs(aml)[0]["reason"]), within_s=60)
        assert "Canceled" in aml("cancel", "latest").err
        assert not driven or driver.wait(30) == 130

    (run,) = runs(aml)
    assert (run["state"], run["reason"]) == ("Canceled", "canceled")
    assert slurm("squeue", "--noheader") == ""


def test_scancel_is_seen(project: Path, aml: Aml, write: Write) -> None:
    write("a.py", WAITS)
    with background(project, "run", "a.py", *SLURM, "--", str(project / "never")) as driver:
        driver.stdout.readline()
        slurm("scancel", job_of(running(aml)))
        assert driver.wait(30) == 130

    (run,) = runs(aml)
    assert run["state"] == "Canceled"
    assert "canceled in Slurm" in run["reason"]


def test_scancel_of_a_waiting_run_is_seen(project: Path, aml: Aml, write: Write) -> None:
    write("a.py", "print('never')\n")
    slurm("sbatch", "--nodes=3", "--exclusive", "--output=/dev/null", "--wrap=sleep 600")
    with background(project, "run", "a.py", *SLURM) as driver:
        until(lambda: [run for run in runs(aml) if "no node has enough" in str(run["reason"])], within_s=60)
        slurm("scancel", "--name=amlcore")
        assert driver.wait(30) == 130

    assert "canceled in Slurm" in runs(aml)[0]["reason"]


def test_scancel_of_one_job_ends_one_run(lay: Callable[..., list[Record]]) -> None:
    slurm("sbatch", "--nodes=3", "--exclusive", "--output=/dev/null", "--wrap=sleep 600")
    until(lambda: slurm("squeue", "--noheader", "--states=RUNNING", "--format=%j") == "wrap")

    def cancel_one() -> None:
        jobs = until(lambda: slurm("squeue", "--noheader", "--array", "--name=amlcore", "--format=%i").split())
        slurm("scancel", jobs[0])
        slurm("scancel", "--name=wrap")

    records = lay(Slurm(slots=3, mem_gb=0.3), 3, within_s=60, meanwhile=cancel_one, lost=1)

    states = sorted(record.status.state for record in records)
    assert states == ["Canceled", "Completed", "Completed"]


def test_a_line_of_the_setup_that_fails_is_named(aml: Aml, write: Write) -> None:
    write("a.py", "import os\nprint(os.environ['A'])\n")

    assert aml("run", "a.py", *SLURM, 'compute.setup=["export A=1  # a comment"]').out == "1\n"
    said = aml("run", "a.py", *SLURM, 'compute.setup=["export A=1", "module load nowhere"]', status=1)

    assert "compute.setup: this line failed: module load nowhere (job" in said.err


def test_thread_limits_use_all_allocated_cores(aml: Aml, write: Write) -> None:
    write("a.py", "import os\nprint(os.environ['OMP_NUM_THREADS'], os.environ['SLURM_CPUS_ON_NODE'])\n")

    assert aml("run", "a.py", *SLURM, "compute.cores=null", "compute.exclusive=true").out == "2 2\n"


def test_a_rerun_goes_to_the_cluster_again(aml: Aml, write: Write) -> None:
    write("a.py", "print('first')\n")
    aml("run", "a.py", *SLURM)
    write("a.py", "print('second')\n")

    assert aml("rerun", "latest").out == "first\n"
    assert aml("show", "latest", "--json").json["compute"] == "slurm"


def test_a_sweep_goes_on_after_its_driver_was_killed(project: Path, aml: Aml, write: Write) -> None:
    write("a.py", TRIAL)
    words = ("run", "-m", "script.script=a.py", *SLURM, "compute.slots=2", "compute.mem_gb=0.3", "model=none")
    search = ("script.arguments={s: 2}", "+script.arguments.score=1,2,3,4", "sweep.primary_metric=score")
    with background(project, *words, *search) as driver:
        until(lambda: [run for run in runs(aml, "--children") if run["parent"] and run["state"] == "Completed"])
        driver.kill()

    said = aml("resume", "latest")

    assert "best: trial 3, score=4" in said.err
    trials = [run for run in runs(aml, "--children") if run["parent"]]
    assert [(run["state"], run["attempt"]) for run in trials] == [("Completed", 1)] * 4


def test_a_worker_that_dies_in_a_sweep_is_replaced(project: Path, aml: Aml, write: Write) -> None:
    """It is killed at its second trial, then the job of the next one is canceled; each is one trial's own affair."""
    write("a.py", HELD)
    words = ("run", "-m", "script.script=a.py", *SLURM, "compute.mem_gb=0.3", "model=none", "sweep=grid")
    lasting = ("compute.timeout_min=1", "compute.allocation_min=5", "sweep.primary_metric=score")
    search = (f"script.arguments={{go: {project}}}", "+script.arguments.score=0,1,2,3")
    with background(project, *words, *lasting, *search) as driver:
        for number in (0, 1, 2):
            claims = f"outputs/*/*_{number}/attempts/1/claim.json"
            (claim,) = until(lambda claims=claims: [*project.glob(claims)], within_s=60)
            if number == 1:
                supervisor = json.loads(claim.read_text())["worker"]["pid"]
                os.kill(int(Path(f"/proc/{supervisor}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)
            if number == 2:  # and is not let go, since it could be done before it is told to end
                slurm("scancel", job_of({"folder": claim.parents[2]}))
            else:
                (project / str(number)).touch()
        (project / "3").touch()
        said = driver.communicate(timeout=100)[1]

    assert driver.returncode == 0, said
    trials = sorted((run for run in runs(aml, "--children") if run["parent"]), key=lambda run: str(run["id"]))
    assert [run["state"] for run in trials] == ["Completed", "Completed", "Canceled", "Completed"]
    assert "canceled in Slurm" in trials[2]["reason"]
    assert "4 trials: 3 done, 0 pruned, 1 failed" in said
    assert len({run["parameters"]["score"] for run in trials}) == 4


def test_trials_that_fall_behind_are_stopped(aml: Aml, write: Write) -> None:
    write("a.py", TRIAL)
    words = ("run", "-m", "script.script=a.py", *SLURM, "compute.slots=2", "compute.mem_gb=0.3", "model=none")
    lasting = ("compute.timeout_min=1", "compute.allocation_min=5", "sweep=grid", "sweep/early_termination=bandit")
    search = ("script.arguments={s: 3}", "+script.arguments.score=2,1", "sweep.primary_metric=score")

    said = aml(*words, *lasting, *search)

    assert "1 done, 1 pruned, 0 failed" in said.err
    assert [run["state"] for run in runs(aml, "--children") if run["parent"]] == ["Canceled", "Completed"]


def test_the_time_limit_of_a_job_is_named(aml: Aml, write: Write) -> None:
    write(
        "a.py",
        "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: open('outputs/told', 'w').close())\n"
        "end = time.time() + 600\nwhile time.time() < end: time.sleep(1)\n",
    )

    aml("run", "a.py", *SLURM, "compute.allocation_min=1", status=1)

    (run,) = runs(aml)
    assert "Slurm ended the job at its time limit" in run["reason"]
    assert (Path(run["folder"]) / "outputs/told").exists()


def test_the_memory_limit_of_the_cluster_is_named(aml: Aml, write: Write) -> None:
    if "task/cgroup" not in slurm("scontrol", "show", "config"):
        pytest.skip("this machine lets Slurm make no cgroups, so the cluster enforces no memory limit of its own")
    write("a.py", "import time\nkept = bytearray(b'x' * 10**9)\ntime.sleep(60)\n")

    aml("run", "a.py", *SLURM, status=1)

    (run,) = runs(aml)
    assert "killed for its memory" in run["reason"]
    assert "its limit 0.419 GB" in run["reason"]  # DefMemPerCPU of the cluster


def test_a_controller_that_is_away_for_a_while_is_waited_for(project: Path, aml: Aml, write: Write) -> None:
    write("a.py", WAITS.replace('or attempt == "1"', ""))
    with background(project, "run", "a.py", *SLURM, "--", str(project / "go")) as driver:
        driver.stdout.readline()
        stop_controller()
        try:
            time.sleep(8)
            assert runs(aml)[0]["state"] == "Running"
        finally:
            subprocess.run([Path(__file__).parents[1] / "slurm/up"], check=True, capture_output=True)
        (project / "go").touch()
        assert driver.wait(60) == 0

    assert runs(aml)[0]["state"] == "Completed"


def stop_controller() -> None:
    pid = int((HOME / "run/slurmctld.pid").read_text())
    os.kill(pid, signal.SIGTERM)
    until(lambda: not Path(f"/proc/{pid}").exists())


def test_a_script_ends_while_the_controller_is_away(project: Path, aml: Aml, write: Write) -> None:
    write("a.py", WAITS.replace('or attempt == "1"', ""))
    with background(project, "run", "a.py", *SLURM, "--", str(project / "go")) as driver:
        driver.stdout.readline()
        stop_controller()
        try:
            (project / "go").touch()
            assert driver.wait(30) == 0
        finally:
            subprocess.run([Path(__file__).parents[1] / "slurm/up"], check=True, capture_output=True)


def test_a_job_that_slurm_refuses_fails_the_run(aml: Aml, write: Write) -> None:
    write("a.py", "print(1)")

    aml("run", "a.py", *SLURM, "compute.constraint=skylake", status=1)

    assert "Slurm refused the job" in runs(aml)[0]["reason"]


def test_aml_is_called_in_a_job_array_in_a_folder_whose_name_is_a_pattern(project: Path, aml: Aml) -> None:
    folder = project / "share_%j of 50%A"
    (folder / ".amlcore").mkdir(parents=True)
    (folder / ".amlcore/config.json").write_text('{"workspace_name": "percent"}')
    (folder / "a.py").write_text("import os\nprint('ran in', os.environ['SLURM_JOB_ID'])\n")
    call = [
        sys.executable,
        "-m",
        "amlcore",
        "run",
        "a.py",
        *SLURM,
        "compute.partition='main,small'",
        "compute.mem_gb=0.1",
    ]
    wrap = f"--wrap=exec >$SLURM_ARRAY_TASK_ID.txt 2>&1; {shlex.join(call)}"
    limits = ("--array=0-1", "--mem=300", "--time=5", "--output=/dev/null", f"--chdir={folder}")

    slurm("sbatch", "--wait", *limits, wrap)

    said = [(folder / f"{task}.txt").read_text() for task in (0, 1)]
    assert ["ran in" in text and "aml: Completed" in text for text in said] == [True, True], said
    assert [path.name for path in project.iterdir() if path.name.startswith("share")] == [folder.name]
    failed = aml("run", "a.py", *SLURM, 'compute.setup=["false # no"]', cwd=folder, status=1)
    assert "compute.setup: this line failed: false # no (job" in failed.err


def test_trials_wait_for_a_limit_on_submitted_jobs_and_none_fails(aml: Aml, write: Write) -> None:
    write("a.py", "import sys\nfrom amlcore import Run\nRun.get_context().log('score', float(sys.argv[2]))\n")
    limit = ("sacctmgr", "--immediate", "modify", "user", "root", "set")
    words = ("run", "-m", "a.py", *SLURM, "compute.mem_gb=0.1", "compute.slots=3", "+script.arguments.n=range(0,5)")

    slurm(*limit, "MaxSubmitJobs=2")
    try:
        said = aml(*words)
    finally:
        slurm(*limit, "MaxSubmitJobs=-1")

    assert "5 trials: 5 done, 0 pruned, 0 failed" in said.err


@pytest.fixture
def lay(project: Path, write: Write) -> Callable[..., list[Record]]:
    """Submit a script many times to the slots of one driver, as a sweep does, and wait until all runs have ended."""

    def run(
        target: Slurm, count: int, *, within_s: float, meanwhile: Callable[[], None] = lambda: None, lost: int = 0
    ) -> list[Record]:
        from amlcore.compute import BACKENDS
        from amlcore.config import compose
        from amlcore.execution.run_request import run_request
        from amlcore.execution.submission import submit
        from amlcore.runs.lifecycle import end_without_result, finalize

        assert BACKENDS["slurm"] is type(target)
        write("short.py", "import os\nopen('outputs/job', 'w').write(os.environ['SLURM_JOB_ID'])\n")
        words = ["environment=current", "compute=slurm", "script.script=short.py"]
        job = replace(compose(words, root=project), compute=target)
        built = job.environment.build(root=project, cache=project, log=lambda _: None)
        records = [submit(job, overrides=[]) for _ in range(count)]
        slots = target.open(job.workspace)
        try:
            for record in records:
                request, kind = run_request(job, record, built)
                slots.submit(request, kind)
            meanwhile()
            until(lambda: sum(record.result is not None for record in records) == count - lost, within_s=within_s)
            endings = until(lambda: len(slots.poll()) == lost and (slots.poll() or True))
        finally:
            slots.close()
        for record in records:
            if record.result is None:
                end_without_result(record, endings[record.folder.name])
            else:
                finalize(record)
        return records

    return run


def jobs_of(records: list[Record]) -> set[str]:
    return {(record.folder / "outputs/job").read_text() for record in records}


def test_forty_short_runs_are_an_array(lay: Callable[..., list[Record]], project: Path) -> None:
    records = lay(Slurm(slots=40, cores=1, mem_gb=0.3), 40, within_s=240)

    assert [record.status.state for record in records] == ["Completed"] * 40
    assert len(jobs_of(records)) == 40
    arrays = {job.name.split("_")[0] for job in (project / ".amlcore/slurm").glob("*/*/jobs/*_*")}
    assert len(arrays) == 1


def test_a_job_that_lasts_takes_run_after_run(lay: Callable[..., list[Record]]) -> None:
    records = lay(Slurm(slots=3, cores=1, mem_gb=0.3, timeout_min=1, allocation_min=10), 40, within_s=120)

    assert [record.status.state for record in records] == ["Completed"] * 40
    assert len(jobs_of(records)) <= 3


def test_the_doctor_runs_a_tiny_job(aml: Aml, project: Path) -> None:
    said = aml("doctor")

    assert re.search(r"^ok  tiny job: node n\d sees outputs/", said.out, re.MULTILINE), said
    assert not list((project / "outputs").iterdir())
    assert "BAD partitions: compute.cores=9" in aml("doctor", "compute.cores=9", status=1).out


def test_the_doctor_finds_a_folder_that_the_nodes_do_not_see(aml: Aml, project: Path) -> None:
    # The nodes do not see what only this process has mounted, as if it were another machine's disk.
    hidden = 'mount -t tmpfs none outputs && exec "$@"'
    (project / "outputs").mkdir()
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount anything")
    command = [sys.executable, "-m", "amlcore", "doctor"]

    said = subprocess.run(
        ["unshare", "--mount", "sh", "-c", hidden, "sh", *command],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )

    assert said.returncode == 1
    assert "BAD tiny job" in said.stdout, said
    assert "FAILED" in said.stdout


def test_a_model_is_trained_registered_and_packaged(aml: Aml, write: Write) -> None:
    write("train.py", TRAIN)

    said = aml("run", "train.py", *SLURM, "compute.mem_gb=1", "model.name=iris", "deployment=bento")

    assert "registered iris:1" in said.err
    assert "packaged iris:" in said.err
    assert aml("models", "--json").json[0]["metrics"]["accuracy"] > 0.9


@pytest.fixture
def shared() -> Iterator[Path]:
    """A group's workspace that the nodes and its users can read: pytest's own folders are for root only."""
    if reason := users.unable():
        pytest.skip(reason)
    closed = [folder for folder in (Path(sys.base_prefix), Path(sys.prefix)) if not users.may_enter(folder)]
    if closed:
        pytest.skip(f"only root may enter {closed[0]}, and jobs of other users run that Python")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        yield group_workspace(Path(folder, "workspace"))
        for uid in COLLEAGUES:
            slurm("scancel", f"--user={uid}")


def test_colleagues_share_a_workspace(shared: Path) -> None:
    owner, other = (User(uid) for uid in COLLEAGUES)
    (shared / "a.py").write_text(WAITS)
    go = shared / "go"
    command = ("run", "a.py", *SLURM, "--detach", "--", str(go))

    owner.aml(shared, *command)
    until(lambda: other.aml(shared, "runs", "--json").json[0]["state"] == "Running")
    assert other.aml(shared, "logs", "latest").out.startswith("attempt 1 on n")
    other.aml(shared, "cancel", "latest")
    assert owner.aml(shared, "wait", "latest", status=130).status == 130
    assert until(lambda: slurm("squeue", "--noheader") == "")

    other.aml(shared, *command)  # and the one who looked on can run there too, in folders that the owner made
    until(lambda: owner.aml(shared, "runs", "--json").json[0]["state"] == "Running")
    owner.aml(shared, "cancel", "latest")
    assert other.aml(shared, "wait", "latest", status=130).status == 130


def test_only_the_owner_may_end_or_resume_a_run_without_a_driver(shared: Path) -> None:
    """A colleague is refused before anything changes; the owner's next command ends or resumes the run."""
    owner, other = (User(uid) for uid in COLLEAGUES)
    (shared / "a.py").write_text(HELD)
    sweep = ("sweep=grid", "sweep.primary_metric=score", "compute.slots=2", "+script.arguments.x=1,2,3")
    owner.aml(shared, "run", "-m", "a.py", *SLURM, *sweep, f"+script.arguments.folder={shared}", "--detach")
    run = until(lambda: [*shared.glob("outputs/a/*_0/attempts/1/claim.json")])[0].parents[2].name.removesuffix("_0")
    os.kill(json.loads((shared / f"outputs/a/{run}/driver.json").read_text())["pid"], signal.SIGKILL)

    for verb in ("cancel", "resume"):
        said = other.aml(shared, verb, run, status=2)
        assert said.err.count("aml: error: ") == 1
        assert owner.name in said.err
    assert not (shared / f"outputs/a/{run}/cancel.json").exists()
    assert len(slurm("squeue", "--noheader").splitlines()) == 2

    for value in "123":
        (shared / value).touch()
    owner.aml(shared, "resume", run)
    assert other.aml(shared, "show", run, "--json").json["state"] == "Completed"


def test_a_module_runs_with_a_secret_that_only_the_job_resolves(
    aml: Aml, write: Write, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", "canary-4711")
    write("src/mine/__init__.py", "")
    write("src/mine/words.py", "WORDS = 'relative import'\n")
    write("src/mine/train.py", "import os, sys\nfrom .words import WORDS\n"
          "print(__name__, WORDS, sys.argv[1:], len(os.environ['SECRET']))\n")  # fmt: skip
    secret = "+script.environment_variables.SECRET='${oc.env:CANARY}'"

    said = aml("run", "-M", "mine.train", "script.source_directory=src", *SLURM, secret, "--", "--depth", "3")

    assert said.out == "__main__ relative import ['--depth', '3'] 11\n"
    written = [path for path in project.rglob("*") if path.is_file() and b"canary-4711" in path.read_bytes()]
    assert written == []


def test_a_reference_that_the_job_cannot_resolve_is_named(
    aml: Aml, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", "canary-4711")
    write("a.py", "print(1)\n")
    secret = "+script.environment_variables.SECRET='${oc.env:CANARY}'"

    said = aml("run", "a.py", *SLURM, secret, "+compute.options.export=NONE", status=1)

    assert "environment variable CANARY is not set where the script runs" in said.err
