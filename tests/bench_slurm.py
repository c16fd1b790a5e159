"""A part of `make bench`: what a driver costs a job on Slurm, next to plain submitit, in one run."""

from __future__ import annotations

import operator
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import submitit

from amlcore.compute import Slurm
from amlcore.config import Job, compose
from amlcore.environment import BuiltEnvironment
from amlcore.settle import finalize
from amlcore.submission import request, submit

JOBS = 24
AT_ONCE = 6
MEM_GB = 0.3


def main(folder: Path) -> None:
    """Print processor and elapsed time a job, the driver's own with the commands that it calls."""
    (folder / "source").mkdir()
    (folder / "source/short.py").write_text("print(1)\n")
    words = ["environment=current", "compute=slurm", "script.script=short.py", "script.source_directory=source"]
    job = compose(words, root=folder)
    built = job.environment.build(root=folder, cache=folder, log=lambda _: None)
    each = Slurm(slots=AT_ONCE, mem_gb=MEM_GB)
    lasting = replace(each, timeout_min=1, allocation_min=10)
    print(f"\n{'a short job on Slurm':40} {'CPU ms':>7} {'elapsed ms':>11}   ({JOBS} jobs, {AT_ONCE} at once)")
    _measure("plain submitit, an array", lambda: _plain(folder / "submitit"))
    _measure("amlcore, a job for each run", lambda: _amlcore(replace(job, compute=each), built))
    _measure("amlcore, jobs that take run after run", lambda: _amlcore(replace(job, compute=lasting), built))


def _measure(name: str, work: Callable[[], None]) -> None:
    begun, before = time.perf_counter(), os.times()
    work()
    elapsed, after = time.perf_counter() - begun, os.times()
    cpu = sum(after[:4]) - sum(before[:4])
    print(f"{name:40} {1000 * cpu / JOBS:7.0f} {1000 * elapsed / JOBS:11.0f}", flush=True)


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
            wanted, kind = request(job, record, built)
            slots.submit(wanted, kind)
        while not all(record.result for record in records):
            assert slots.poll() == {}
            time.sleep(0.1)
        for record in records:
            finalize(record)
    finally:
        slots.close()
