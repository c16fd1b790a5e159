"""The submission of jobs, with fake Slurm commands on PATH: no cluster needed."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amlcore.compute import Slurm
from amlcore.compute.request import RunRequest, WorkerKind
from amlcore.compute.slurm import cluster, job_quota
from amlcore.compute.slurm.cluster import Partition, UnreachableError
from amlcore.compute.slurm.job_quota import JobQuota
from amlcore.compute.slurm.sbatch import ArrayTooLongError, LimitError, batch_file, submitted_job
from amlcore.compute.slurm.slots import SlurmSlots
from amlcore.errors import ConfigError, ExecutionError
from tests.support.aml import Aml, Write, runs, until

MAIN = Partition("main", default=True, limit_min=60, cores=2, mem_mb=2000, nodes=3)
SMALL = Partition("small", default=False, limit_min=5, cores=2, mem_mb=2000, nodes=1)
FAT = Partition("fat", default=False, limit_min=5, cores=64, mem_mb=1000, nodes=9)
ANSWERS = {
    "sinfo": "main*|up|1:00:00|2|2000|3|(null)",
    "squeue": "",
    "sacct": "",
    "sbatch": "Submitted batch job 7",
    "scancel": "",
}


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, first on PATH, with fake Slurm commands; each prints the answer file beside it."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, answer in ANSWERS.items():
        (folder / f"{name}.says").write_text(answer)
        (folder / name).write_text(f'#!/bin/sh\nenv > "{folder}/{name}.env"\ncat "{folder}/{name}.says"\n')
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def test_an_sbatch_that_prints_no_job_is_one_message(slurm: Path, aml: Aml, write: Write) -> None:
    (slurm / "sbatch.says").write_text("Welcome to the cluster!\n")
    write("a.py", "print(1)")
    env = dict.fromkeys(("SBATCH_PARTITION", "SBATCH_TIMELIMIT", "SBATCH_QOS", "SBATCH_WAIT"), "x")

    said = aml("run", "a.py", "compute=slurm", "environment=current", "compute.partition=main", env=env, status=1)

    assert "sbatch printed 'Welcome to the cluster!' instead of 'Submitted batch job' and a number" in said.err
    assert "amlcore itself failed" not in said.err
    assert runs(aml)[0]["state"] == "Failed"
    got = (slurm / "sbatch.env").read_text()  # what is typed counts more than a default of the user's for sbatch
    assert "SBATCH_QOS=x" in got  # nothing is said of a QOS
    assert "SBATCH_TIMELIMIT=x" in got
    assert "SBATCH_PARTITION" not in got
    assert "SBATCH_WAIT" not in got


@pytest.mark.parametrize("says", ["", "Submitted batch job soon", "{}", "job 12", "\0"])
def test_an_answer_without_a_job_is_quoted(says: str) -> None:
    with pytest.raises(ExecutionError, match="check that the sbatch on your PATH is Slurm's own"):
        submitted_job(says)


def test_an_sinfo_that_prints_nonsense_is_refused_before_anything_starts(slurm: Path, aml: Aml, write: Write) -> None:
    (slurm / "sinfo.says").write_text("Welcome!")
    write("a.py", "print(1)")

    said = aml("run", "a.py", "compute=slurm", "environment=current", status=2)

    assert "compute=slurm: sinfo printed output that cannot be read: 'Welcome!'" in said.err
    assert runs(aml) == []


def test_extra_output_of_an_sbatch_wrapper_is_ignored() -> None:
    assert submitted_job("Welcome to job 13!\nSubmitted batch job 42 on cluster c\n") == "42"
    assert submitted_job("sbatch: note\n42;c\n") == "42"


@given(st.text(max_size=40))
def test_any_answer_of_squeue_or_sacct_is_parsed_or_refused(text: str) -> None:
    for parse in (cluster.parse_jobs, cluster.parse_ended, cluster.parse_partitions):
        with suppress(ValueError, LookupError):  # what becomes an UnreachableError, as below
            assert parse(text) is not None


@pytest.mark.parametrize("look", [cluster.jobs, lambda: cluster.ended_jobs(["1"]), cluster.partitions])
def test_nonsense_is_no_answer(look: object, slurm: Path) -> None:
    for name in ("squeue", "sacct", "sinfo"):
        (slurm / f"{name}.says").write_text("bonjour\n")

    with pytest.raises(UnreachableError, match="printed output that cannot be read: 'bonjour'"):
        look()  # type: ignore[operator]


def test_slurm_variables_of_the_user_and_outer_job_are_dropped(slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {"SLURM_CONF": "/etc/slurm.conf", "SBATCH_ACCOUNT": "lab", "OMP_NUM_THREADS": "3"}
    hidden = {"SQUEUE_STATES": "RUNNING", "SACCT_FORMAT": "User", "SINFO_PARTITION": "x", "SCANCEL_STATE": "PENDING"}
    of_a_job = {"SLURM_JOB_ID": "5", "SLURM_ARRAY_JOB_ID": "4", "SLURM_ARRAY_TASK_ID": "1", "SLURM_MEM_PER_CPU": "9"}
    for name, value in {**shown, **hidden, **of_a_job}.items():
        monkeypatch.setenv(name, value)

    cluster.jobs()

    got = dict(line.split("=", 1) for line in (slurm / "squeue.env").read_text().splitlines() if "=" in line)
    assert got.items() >= shown.items()
    assert not got.keys() & {*hidden, *of_a_job}


def test_a_job_may_start_in_any_of_several_partitions() -> None:
    Slurm(partition="main, small", timeout_min=30).fits([MAIN, SMALL])
    Slurm(partition="small,main", nodes=3).fits([MAIN, SMALL])
    Slurm(options={"partition": "small"}).fits([MAIN, SMALL])
    with pytest.raises(ConfigError, match=r"compute.partition=main,smal: did you mean 'small'"):
        Slurm(partition="main,smal").fits([MAIN, SMALL])
    with pytest.raises(
        ConfigError, match=r"none of the partitions main, fat accepts such a job: compute.cores=8 is more"
    ):
        Slurm(partition="main,fat", cores=8, timeout_min=30).fits([MAIN, FAT])
    with pytest.raises(ConfigError, match="nodes=4 is more than partition main has"):
        Slurm(partition="main,small", nodes=4).fits([MAIN, SMALL])


def test_the_partition_that_sbatch_takes_from_the_environment_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SBATCH_PARTITION", "small")

    with pytest.raises(ConfigError, match=r"timeout_min=30 .*is more than partition small has"):
        Slurm(timeout_min=30).fits([MAIN, SMALL])


@pytest.mark.parametrize("key", ["array", "output", "wait"])
def test_options_that_would_lose_the_jobs_are_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=f"compute.options.{key}: must not be set, since amlcore sets it"):
        Slurm(options={key: "1"})


@given(st.text(st.characters(codec="utf-8", exclude_characters="/\0\n"), min_size=1))
def test_a_folder_name_is_never_a_slurm_pattern(name: str) -> None:
    text = batch_file(Path("/shared", name), Slurm().sbatch())

    options = [line for line in text.splitlines() if line.startswith("#SBATCH --")]
    assert "#SBATCH --output=/dev/null" in options
    assert "#SBATCH --error=/dev/null" in options


def test_the_heart_beats_while_slurm_takes_its_time_and_kinds_of_workers_are_added(slurm: Path, project: Path) -> None:
    (slurm / "squeue").write_text("#!/bin/sh\nexec sleep 15\n")
    settings = {"lease_s": 0.0, "patience_s": 1.0}
    slots = SlurmSlots(
        state=project / ".amlcore", parameters=Slurm().sbatch(), slots=99, max_requeues=0, settings=settings
    )
    for number in range(
        40
    ):  # each kind is a queue of its own, which the thread that asks Slurm looks through meanwhile
        run = project / f"outputs/a/{number}"
        run.mkdir(parents=True)
        wanted = RunRequest(str(number), str(run), "", "", "a.py", [], {}, {}, None, None)
        slots.submit(wanted, WorkerKind(sys.executable, cores=number))
        time.sleep(0.01)
    queues = [*project.glob(".amlcore/slurm/*/*/worker.json")]
    for worker in queues:
        os.utime(worker, (0, 0))

    until(lambda: all(worker.stat().st_mtime > 0 for worker in queues))
    assert slots.poll() == {}
    slots.close()


class Cluster:
    """Accepts jobs as sbatch does, up to a limit per array and a limit in all."""

    def __init__(self, longest: int, most: int) -> None:
        self.longest, self.most, self.jobs, self.refusals = longest, most, 0, 0

    def take(self, count: int) -> None:
        self.refusals += 1
        if count > self.longest:
            raise ArrayTooLongError("Invalid job array specification")
        if self.jobs + count > self.most:
            raise LimitError("AssocMaxSubmitJobLimit")
        self.refusals -= 1
        self.jobs += count


@given(longest=st.integers(1, 60), most=st.integers(1, 60), wanted=st.integers(1, 200))
def test_jobs_are_asked_for_until_all_have_been_there(longest: int, most: int, wanted: int) -> None:
    cluster_state, quota, jobs_to_submit = Cluster(longest, most), JobQuota(), wanted
    for _ in range(wanted + 1):
        before = cluster_state.jobs
        quota.fill(jobs_to_submit, cluster_state.take, own=cluster_state.jobs)
        jobs_to_submit -= cluster_state.jobs - before
        if not jobs_to_submit:
            break
        assert cluster_state.jobs == min(most, cluster_state.jobs + jobs_to_submit)
        assert quota.limit == "AssocMaxSubmitJobLimit"
        cluster_state.jobs -= 1  # one has ended

    assert jobs_to_submit == 0
    assert quota.limit is None
    assert cluster_state.refusals <= 12 + 8 * wanted


def test_a_limit_that_takes_no_job_at_all_is_a_refusal_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(job_quota.time, "monotonic", lambda: now)
    quota, cluster_state = JobQuota(), Cluster(1, 0)
    for _ in range(7):
        quota.fill(1, cluster_state.take, own=0)
        now += 10
    with pytest.raises(ExecutionError, match="even though you have no other job"):
        quota.fill(1, cluster_state.take, own=0)
    now += 1000
    quota.fill(1, cluster_state.take, own=1)  # others of one's own keep it out
    assert quota.limit == "AssocMaxSubmitJobLimit"
