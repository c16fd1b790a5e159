"""Cores: how many this process may use, of the machine and within a container's limit."""

from __future__ import annotations

import os
from pathlib import Path

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)
"""What numeric libraries read their number of threads from; compute/worker_process.py has the same for runs."""

ROOT = Path("/sys/fs/cgroup")


def cores() -> int:
    """At least one; a fractional limit is rounded down."""
    allowed = len(os.sched_getaffinity(0))
    limit = _limit()
    return allowed if limit is None else max(1, min(allowed, int(limit)))


def _limit() -> float | None:
    """The cgroup's quota in cores: cpu.max of the second version, two files of the first."""
    try:
        quota, period = (ROOT / "cpu.max").read_text("utf-8").split()
    except (OSError, ValueError):
        try:
            quota = (ROOT / "cpu/cpu.cfs_quota_us").read_text("utf-8").strip()
            period = (ROOT / "cpu/cpu.cfs_period_us").read_text("utf-8").strip()
        except OSError:
            return None
    return None if quota in ("max", "-1") else int(quota) / int(period)
