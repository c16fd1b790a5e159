"""Requests to Slurm and its answers, as plain values: no cluster needed."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from amlcore.compute import Slurm
from amlcore.compute.request import RunRequest
from amlcore.compute.slurm.cluster import (
    EndedJob,
    Partition,
    QueuedJob,
    is_unreachable,
    minutes,
    parse_ended,
    parse_jobs,
    parse_partitions,
)
from amlcore.compute.slurm.queue import SlurmQueue
from amlcore.compute.target import BackendStatus, Outcome
from amlcore.errors import ConfigError
from amlcore.record.status import RunState
from amlcore.worker.files import write_json
from amlcore.worker.layout import RunLayout
from tests.support.aml import Aml

MAIN = Partition("main", default=True, limit_min=60, cores=2, mem_mb=2000, nodes=3)
BIG = Partition("big", default=False, limit_min=None, cores=64, mem_mb=512000, nodes=1, gpus=2)
SHUT = Partition("shut", default=False, limit_min=60, cores=2, mem_mb=2000, nodes=1, state="drain")
DOWN = Partition("old", default=False, limit_min=5, cores=1, mem_mb=100, nodes=1, state="down")


def test_the_smallest_request() -> None:
    assert Slurm().sbatch() == {
        "job_name": "amlcore",
        "time": None,
        "nodes": 1,
        "ntasks_per_node": 1,
        "cpus_per_task": 1,
        "array_parallelism": 1,
        "use_srun": False,
        "wckey": None,
        "additional_parameters": {"requeue": True},
    }


def test_a_dry_run_shows_the_request() -> None:
    target = Slurm(cores=2)

    assert target.describe() == {**asdict(target), "sbatch": target.sbatch()}


def test_every_field_is_in_the_request() -> None:
    target = Slurm(
        slots=4,
        cores=8,
        mem_gb=2,
        timeout_min=30,
        partition="big",
        account="lab",
        qos="night",
        nodes=2,
        gpus=1,
        constraint="skylake&ssd",
        exclusive=True,
        max_requeues=0,
        setup=["module load cuda"],
        options={"nice": 100},
    )

    assert target.sbatch() == {
        "job_name": "amlcore",
        "partition": "big",
        "account": "lab",
        "qos": "night",
        "time": 33,
        "nodes": 2,
        "ntasks_per_node": 1,
        "cpus_per_task": 8,
        "mem": "2208M",
        "gpus_per_node": 1,
        "constraint": "skylake&ssd",
        "exclusive": True,
        "array_parallelism": 4,
        "setup": [
            "{\nmodule load cuda\n} || { echo 'compute.setup: this line failed: module load cuda' >&2; exit 1; }"
        ],
        "use_srun": False,
        "wckey": None,
        "additional_parameters": {"no-requeue": True, "nice": 100},
    }


def test_the_file_that_sbatch_reads() -> None:
    from submitit.slurm.slurm import _make_sbatch_string

    request = Slurm(slots=3, cores=2, mem_gb=1, timeout_min=10, partition="main", setup=["module load x"]).sbatch()

    text = _make_sbatch_string(command="work", folder="/shared", map_count=5, **request)

    assert text.splitlines() == [
        "#!/bin/bash",
        "",
        "# Parameters",
        "#SBATCH --array=0-4%3",
        "#SBATCH --cpus-per-task=2",
        "#SBATCH --error=/shared/%A_%a_0_log.err",
        "#SBATCH --job-name=amlcore",
        "#SBATCH --mem=1254M",
        "#SBATCH --nodes=1",
        "#SBATCH --ntasks-per-node=1",
        "#SBATCH --open-mode=append",
        "#SBATCH --output=/shared/%A_%a_0_log.out",
        "#SBATCH --partition=main",
        "#SBATCH --requeue",
        "#SBATCH --signal=USR2@90",
        "#SBATCH --time=13",
        "",
        "# setup",
        "{",
        "module load x",
        "} || { echo 'compute.setup: this line failed: module load x' >&2; exit 1; }",
        "",
        "# command",
        "export SUBMITIT_EXECUTOR=slurm",
        "work",
    ]


@pytest.mark.parametrize(
    ("target", "lease_s"),
    [
        (Slurm(), 0),
        (Slurm(timeout_min=5), 0),
        (Slurm(allocation_min=60), 58 * 60),
        (Slurm(allocation_min=60, timeout_min=7), 50 * 60),
    ],
)
def test_a_worker_takes_runs_as_long_as_a_whole_one_fits(target: Slurm, lease_s: float) -> None:
    assert target.lease_s == lease_s


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"partition": "bigg"}, ["compute.partition=bigg", "did you mean 'big'", "big, main, shut"]),
        ({"cores": 3}, ["compute.cores=3", "default partition", "compute.cores=2 would fit", "big: 1 node of 64"]),
        ({"mem_gb": 4}, ["compute.mem_gb=4", "4115 MB", "compute.mem_gb=1.78 would fit"]),
        ({"timeout_min": 400}, ["compute.timeout_min=400", "compute.timeout_min=57 would fit"]),
        ({"allocation_min": 400}, ["compute.allocation_min=400", "compute.allocation_min=60 would fit"]),
        ({"nodes": 4}, ["compute.nodes=4", "compute.nodes=3 would fit"]),
        ({"gpus": 1}, ["compute.gpus=1", "compute.gpus=0 would fit"]),
        ({"partition": "big", "gpus": 4}, ["compute.gpus=4", "partition big", "compute.gpus=2 would fit", "2 GPUs"]),
        ({"partition": "shut"}, ["compute.partition=shut", "its state is drain", "main: 3 nodes"]),
    ],
)
def test_a_size_that_cannot_fit_is_refused_with_suggestions(fields: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        Slurm(**fields).fits([MAIN, BIG, SHUT])

    assert parts
    assert [part for part in parts if part not in str(error.value)] == [], error.value


def test_suggested_sizes_fit() -> None:
    Slurm(cores=2, mem_gb=1.78, timeout_min=57).fits([MAIN, BIG])
    Slurm(cores=64, mem_gb=500, gpus=2, timeout_min=10_000, partition="big").fits([MAIN, BIG])
    Slurm(partition="old").fits([MAIN, DOWN])  # Slurm lets jobs wait for a partition that is down


def test_sizes_that_fit_only_apart_are_refused() -> None:
    small, fat = Partition("p", True, 60, 16, 1000, 1), Partition("p", True, 60, 2, 64000, 1)

    with pytest.raises(ConfigError, match="together do not fit any node of partition p"):
        Slurm(cores=16, mem_gb=32).fits([small, fat])


def test_a_cluster_without_a_default_partition_asks_for_one() -> None:
    with pytest.raises(ConfigError, match="use one of: big"):
        Slurm().fits([BIG])


@pytest.mark.parametrize("fields", [{"nodes": 0}, {"gpus": -1}, {"max_requeues": -1}, {"kill_wait_s": 0}])
def test_fields_have_their_ranges(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        Slurm(**fields)


def test_an_allocation_holds_one_run_at_least() -> None:
    with pytest.raises(ConfigError, match="allocation_min=10"):
        Slurm(allocation_min=10, timeout_min=30)


def test_the_shipped_option_says_what_the_fields_do() -> None:
    text = (Path(__file__).parents[2] / "conf/compute/slurm.yaml").read_text()
    shipped = {key: value for key, value in yaml.safe_load(text).items() if key != "defaults"}

    assert shipped == asdict(Slurm())
    lines = [line for line in text.splitlines()[4:] if line.strip()]
    assert len(lines) >= len(shipped)
    assert [line for line in lines if "# " not in line] == []


def test_the_doctor_says_what_is_missing(aml: Aml, tmp_path: Path) -> None:
    here = aml("doctor", env={"PATH": str(tmp_path)})
    there = aml("doctor", "compute=slurm", env={"PATH": str(tmp_path)}, status=1)

    assert "ok  outputs" in here.out
    assert "compute=slurm" in here.err
    assert "BAD commands: compute=slurm: cannot find sbatch" in there.out


def test_without_slurm_the_way_out_is_said(aml: Aml, write: Any, tmp_path: Path) -> None:
    write("a.py", "print(1)")

    said = aml("run", "a.py", "compute=slurm", env={"PATH": str(tmp_path)}, status=2)

    assert "cannot find sbatch" in said.err
    assert "compute=local" in said.err


def test_the_answers_of_slurm_are_read() -> None:
    partitions = (
        "main*|up|1:00:00|2|2000|3|(null)\nbig|up|infinite|64|512000|1|gpu:a100:2(S:0-1),nvme:1\n"
        "old|down|5:00|1|100|1|(null)\n"
    )
    assert parse_partitions(partitions) == [MAIN, BIG, DOWN]
    assert parse_jobs("7_1|PENDING|Resources\n8|RUNNING|None\n") == {
        "7_1": QueuedJob("PENDING", "Resources"),
        "8": QueuedJob("RUNNING", "None"),
    }
    assert parse_ended("7_1|CANCELLED by 0|n1|0:15\n8|RUNNING|n2|0:0\n9|NODE_FAIL|n3|0:0\n") == {
        "7_1": EndedJob("CANCELLED", "n1", "0"),
        "9": EndedJob("NODE_FAIL", "n3", "0"),
    }


def test_tasks_that_never_began_are_read_from_their_array() -> None:
    never = EndedJob("CANCELLED", "None assigned", "0")

    assert parse_ended("7_[1-2,5%3]|CANCELLED by 0|None assigned|0:0\n") == {"7_1": never, "7_2": never, "7_5": never}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("infinite", None), ("30:00", 30), ("1:00:00", 60), ("2-12:00:00", 3600), ("45", 0.75)],
)
def test_time_limits_are_read(text: str, expected: float | None) -> None:
    assert minutes(text) == expected


def test_a_controller_away_is_no_refusal() -> None:
    assert is_unreachable("slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
    assert not is_unreachable("sbatch: error: Batch job submission failed: Invalid feature specification")


@pytest.fixture
def queue(tmp_path: Path) -> SlurmQueue:
    made = SlurmQueue(tmp_path / "queue")
    made.make({})
    made.add_jobs(["7"])
    return made


def lay(queue: SlurmQueue, folder: Path, *, job: str | None = None, attempt: int = 1, run: str = "run") -> RunRequest:
    request = RunRequest(
        run=run,
        folder=str(folder),
        objects="",
        manifest="",
        script="a.py",
        argv=[],
        environment_variables={},
        inputs={},
        timeout_s=None,
        mem_bytes=None,
        attempt=attempt,
    )
    target = Path(queue.layout.claimed, job) if job else Path(queue.layout.new)
    target.mkdir(exist_ok=True)
    folder.mkdir(exist_ok=True)
    request.enqueue(target)
    return request


@pytest.mark.parametrize(
    ("active", "ended", "expected"),
    [
        ({"7": QueuedJob("RUNNING", "None")}, {}, BackendStatus()),
        (
            {"7": QueuedJob("PENDING", "Resources")},
            {},
            BackendStatus(
                "attempt 1 was interrupted; no node has enough free cores or memory at the moment (Resources)"
            ),
        ),
        ({}, {}, BackendStatus()),  # accounting lags behind
        (
            {},
            {"7": EndedJob("NODE_FAIL", "n1", "0")},
            BackendStatus(
                outcome=Outcome(
                    RunState.Failed,
                    "its node failed, and Slurm did not restart the job (job 7 on n1, NODE_FAIL)",
                )
            ),
        ),
        (
            {},
            {"7": EndedJob("CANCELLED", "n1", "0")},
            BackendStatus(outcome=Outcome(RunState.Canceled, "canceled in Slurm (job 7 on n1, CANCELLED)")),
        ),
    ],
)
def test_a_claimed_run_is_where_its_job_is(
    active: dict[str, QueuedJob], ended: dict[str, EndedJob], expected: BackendStatus, queue: SlurmQueue, tmp_path: Path
) -> None:
    lay(queue, tmp_path / "run", job="7")

    assert queue.status("run", active=active, ended=ended) == expected


def test_a_result_outlives_the_job_that_left_it(queue: SlurmQueue, tmp_path: Path) -> None:
    request = lay(queue, tmp_path / "run", job="7")
    attempt = RunLayout(request.folder).attempt(1)
    Path(attempt.folder).mkdir(parents=True)
    write_json(attempt.result, {})

    assert queue.status("run", active={}, ended={"7": EndedJob("NODE_FAIL", "n1", "0")}) == BackendStatus()


def test_a_job_that_lost_one_run_to_its_memory_lets_others_wait(queue: SlurmQueue, tmp_path: Path) -> None:
    lay(queue, tmp_path / "run")
    Path(queue.layout.ended, "7").touch()  # the worker went on, and ended as it should

    status = queue.status("run", active={}, ended={"7": EndedJob("OUT_OF_MEMORY", "n1", "0")})

    assert status == BackendStatus(wait_reason="the job is being submitted")


def test_a_job_that_could_not_work_takes_one_run_with_it(queue: SlurmQueue, tmp_path: Path) -> None:
    queue.add_jobs(["8", "9"])
    lay(queue, tmp_path / "one", run="one")
    lay(queue, tmp_path / "two", run="two")
    lay(queue, tmp_path / "run", job="9")
    ended = {"7": EndedJob("NODE_FAIL", "n1", "0"), "8": EndedJob("FAILED", "n1", "1"), "9": EndedJob("FAILED", "", "")}

    assert queue.failures(ended) == ["8"]  # another job may fare better than 7, and 9 has a run
    assert queue.give_up("8") == "two"
    assert queue.failures(ended) == []
    assert queue.status("one", active={}, ended=ended) == BackendStatus(wait_reason="the job is being submitted")


def test_a_task_that_slurm_has_no_trace_of_was_canceled(queue: SlurmQueue) -> None:
    queue.add_jobs(["8_0", "8_1", "8_2"])
    assert queue.vanished({"7", "8_0", "8_1"}) == {}  # so soon it may not be in the queue yet

    for name in os.listdir(queue.layout.jobs):
        os.utime(f"{queue.layout.jobs}/{name}", (0, 0))
    os.makedirs(f"{queue.layout.claimed}/8_1")

    assert queue.vanished({"7", "8_0", "8_1"}) == {"8_0": EndedJob("CANCELLED", "", "")}


def test_a_job_that_could_not_work_is_quoted(queue: SlurmQueue, tmp_path: Path) -> None:
    log = tmp_path / "queue/slurm/7_0_log.err"
    log.parent.mkdir()
    log.write_text("module: command not found\nthis line failed\n")

    assert queue.outcome_of(EndedJob("FAILED", "n1", "1"), "7").reason == "this line failed (job 7 on n1, FAILED)"
    assert queue.outcome_of(EndedJob("FAILED", "n1", "3"), "8").reason.startswith("the job ended with exit status 3")


@pytest.mark.parametrize(
    ("state", "asked_s_ago", "expected"),
    [("PENDING", 0, "7"), ("RUNNING", 0, None), ("RUNNING", 60, "7")],
)
def test_a_canceled_run_that_nobody_ends_is_found(
    state: str, asked_s_ago: float, expected: str | None, queue: SlurmQueue, tmp_path: Path
) -> None:
    lay(queue, tmp_path / "run", job="7")
    active = {"7": QueuedJob(state, "None")}
    assert queue.unattended_job("run", active=active) is None

    cancel = tmp_path / "run/cancel.json"
    cancel.parent.mkdir(exist_ok=True)
    cancel.touch()
    os.utime(cancel, (time.time() - asked_s_ago,) * 2)

    assert queue.unattended_job("run", active=active) == expected
