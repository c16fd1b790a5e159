"""A part of `make bench`: what a driver costs a job on Slurm, next to plain submitit, turn by turn in one run."""

from __future__ import annotations

import operator
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import submitit

from amlcore.compute import Slurm
from amlcore.config import Job, compose
from amlcore.environment import BuiltEnvironment
from amlcore.execution.run_request import run_request
from amlcore.execution.submission import submit
from amlcore.runs.lifecycle import finalize

ROUNDS = 3
JOBS = 24
AT_ONCE = 6
MEM_GB = 0.3


def main(folder: Path) -> None:
    """Print the processor time of a driver with the commands that it calls, and the elapsed time, a job each."""
    (folder / "source").mkdir()
    (folder / "source/short.py").write_text("print(1)\n")
    words = ["environment=current", "compute=slurm", "script.script=short.py", "script.source_directory=source"]
    job = compose(words, root=folder)
    built = job.environment.build(root=folder, cache=folder, log=lambda _: None)
    each = Slurm(slots=AT_ONCE, mem_gb=MEM_GB)
    lasting = replace(each, timeout_min=1, allocation_min=10)
    ways: dict[str, Callable[[], None]] = {
        "plain submitit, an array": lambda: _plain(folder / "submitit"),
        "amlcore, a job for each run": lambda: _amlcore(replace(job, compute=each), built),
        "amlcore, jobs that take run after run": lambda: _amlcore(replace(job, compute=lasting), built),
    }
    costs = [[_cost(work) for work in ways.values()] for _ in range(ROUNDS)]
    title = f"{JOBS} short jobs on Slurm, {AT_ONCE} at once"
    print(f"\n{title:40} {'CPU ms':>7} {'÷ submitit':>11} {'elapsed ms':>11} {'÷ submitit':>11}")
    for name, of_way in zip(ways, zip(*costs, strict=True), strict=True):
        row = f"{name:40}"
        for kind, width in ((0, 7), (1, 11)):
            ratio = statistics.median(cost[kind] / first[0][kind] for cost, first in zip(of_way, costs, strict=True))
            row += f" {statistics.median(cost[kind] for cost in of_way):{width}.0f} {ratio:11.2f}"
        print(row, flush=True)


def _cost(work: Callable[[], None]) -> tuple[float, float]:
    """Processor and elapsed time of `work`, in ms a job."""
    begun, before = time.perf_counter(), os.times()
    work()
    elapsed, after = time.perf_counter() - begun, os.times()
    return 1000 * (sum(after[:4]) - sum(before[:4])) / JOBS, 1000 * elapsed / JOBS


def _plain(folder: Path) -> None:
    executor = submitit.SlurmExecutor(folder=folder)
    executor.update_parameters(time=5, mem=f"{MEM_GB * 1000 + 200:.0f}M", cpus_per_task=1, array_parallelism=AT_ONCE)
    jobs = executor.map_array(operator.neg, list(range(JOBS)))
    assert [job.result() for job in jobs] == [-number for number in range(JOBS)]


def _amlcore(job: Job, built: BuiltEnvironment) -> None:
    """The same through slots, and with all that a run records: source, configuration, request, result."""
    slots = job.compute.open(job.workspace)
    try:
        records = [submit(job, overrides=[]) for _ in range(JOBS)]
        for record in records:
            request, kind = run_request(job, record, built)
            slots.submit(request, kind)
        while not all(record.result for record in records):
            assert slots.poll() == {}
            time.sleep(0.1)
        for record in records:
            finalize(record)
    finally:
        slots.close()
