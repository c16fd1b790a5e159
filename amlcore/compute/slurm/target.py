"""Slurm: a cluster as a compute target, through submitit."""

from __future__ import annotations

import math
import os
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from amlcore.compute.slurm import cluster
from amlcore.compute.slurm.cluster import Partition
from amlcore.compute.target import BackendStatus, ComputeTarget
from amlcore.errors import ConfigError, must_be
from amlcore.record.record import Record
from amlcore.workspace import Workspace

if TYPE_CHECKING:
    from amlcore.compute.slurm.slots import SlurmSlots

WORKER_MB = 300
"""Memory of a job besides the run's own: the worker and amlcore."""

CLOSED = ("drain", "inactive")
"""Partition states in which Slurm refuses jobs; in one that is down they wait."""

OWN_OPTIONS = {"array", "error", "output", "parsable", "wait", "wrap"}
"""Options of sbatch with which amlcore would lose track of its jobs."""

MARGIN_MIN = 2
"""Minutes of a job besides the runs' own: its start and its end."""


@dataclass
class Slurm(ComputeTarget):
    """A cluster: a slot is a job, in which a worker takes runs."""

    kind: str = "slurm"
    cores: int | None = 1  # cores a run may use; null: all that Slurm gives
    kill_wait_s: float = 20.0  # seconds from SIGTERM to SIGKILL, at the time limit and on cancel
    partition: str | None = None  # where jobs run, one or several as "a,b"; null: the cluster's default
    account: str | None = None  # the account to charge; null: your default account
    qos: str | None = None  # quality of service; null: your default
    nodes: int = 1  # nodes of a job; the script runs on the first and reaches the others with srun
    gpus: int = 0  # GPUs on each node
    constraint: str | None = None  # required node features, in the syntax of sbatch: "skylake&ssd"
    exclusive: bool = False  # true: no other job on the same nodes
    max_requeues: int = 3  # how often a run restarts after a node failure or a preemption
    allocation_min: float | None = None  # minutes that a job lasts, taking run after run; null: one job per run
    idle_min: float = 2.0  # minutes that an idle job waits for the next run
    setup: list[str] = field(default_factory=list)  # shell lines before the worker, each to succeed: "module load cuda"
    options: dict[str, Any] = field(default_factory=dict)  # more options of sbatch: {reservation: mine, nice: 100}

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, least in (("nodes", 1), ("gpus", 0), ("max_requeues", 0), ("idle_min", 0)):
            if getattr(self, key) < least:
                raise ConfigError(f"compute.{key}={getattr(self, key)}: must be at least {least}")
        for key in OWN_OPTIONS & self.options.keys():
            raise ConfigError(f"compute.options.{key}: must not be set, since amlcore sets it for each job")
        if self.allocation_min is not None and self.allocation_min < (self.time_min or 1):
            raise ConfigError(
                f"compute.allocation_min={self.allocation_min:g}: must be at least {self.time_min or 1}, "
                f"the minutes of one run (compute.timeout_min={self.timeout_min})"
            )

    def open(self, workspace: Workspace) -> SlurmSlots:
        from amlcore.compute.slurm.slots import SlurmSlots  # a local run starts faster without it

        return SlurmSlots(
            state=workspace.state_path,
            parameters=self.sbatch(),
            slots=self.slots,
            max_requeues=self.max_requeues,
            settings={"lease_s": self.lease_s, "patience_s": self.idle_min * 60},
        )

    def check(self) -> None:
        cluster.check_present()
        try:
            partitions = cluster.partitions()
        except cluster.UnreachableError as error:
            raise ConfigError(f"compute=slurm: {error}; try again later, or use compute=local") from None
        self.fits(partitions)

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "sbatch": self.sbatch()}

    @staticmethod
    def observe(record: Record) -> BackendStatus:
        from amlcore.compute.slurm.orphans import observe

        return observe(record)

    @property
    def resumable(self) -> bool:
        return True

    @property
    def time_min(self) -> int | None:
        """The time limit in minutes of a job for one run; None: the partition's default."""
        if self.timeout_min is None:
            return None
        return math.ceil(self.timeout_min + self.kill_wait_s / 60) + MARGIN_MIN

    @property
    def mem_mb(self) -> int | None:
        """The memory of a job in MiB, as Slurm counts; None: the cluster's default."""
        return None if self.mem_bytes is None else math.ceil(self.mem_bytes / 2**20) + WORKER_MB

    @property
    def lease_s(self) -> float | None:
        """Seconds during which a worker takes further runs; 0: one run."""
        if self.allocation_min is None:
            return 0.0
        return 60 * (self.allocation_min - (self.time_min or MARGIN_MIN))

    def sbatch(self) -> dict[str, Any]:
        """The parameters of each job, under submitit's names."""
        time = self.time_min if self.allocation_min is None else math.ceil(self.allocation_min)
        parameters = {
            "job_name": "amlcore",
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "time": time,
            "nodes": self.nodes,
            "ntasks_per_node": 1,
            "cpus_per_task": self.cores,
            "mem": None if self.mem_mb is None else f"{self.mem_mb}M",
            "gpus_per_node": self.gpus or None,
            "constraint": self.constraint,
            "exclusive": True if self.exclusive else None,
            "array_parallelism": self.slots,
            "setup": [_checked(line) for line in self.setup] or None,
            "use_srun": False,  # the script may call srun itself
            "wckey": None,
        }
        requeue = {"requeue": True} if self.max_requeues else {"no-requeue": True}
        return {key: value for key, value in parameters.items() if value is not None or key in ("time", "wckey")} | {
            "additional_parameters": {**requeue, **self.options}
        }

    def fits(self, partitions: list[Partition]) -> None:
        """Check that the partitions can run such a job.

        Raises
        ------
        ConfigError
            Slurm would refuse the job, or never start it.
        """
        names = sorted({part.name for part in partitions})
        chosen = self._partitions()
        for name in chosen:
            if name not in names:
                raise ConfigError(f"compute.partition={self.partition or name}: {must_be(name, names)}")
        choice = [part for part in partitions if (part.name in chosen if chosen else part.default)]
        if not choice:
            raise ConfigError(f"compute.partition: this cluster has no default; use one of: {', '.join(names)}")
        if all(part.state in CLOSED for part in choice):
            open_ones = _sizes([part for part in partitions if part.state not in CLOSED])
            raise ConfigError(
                f"compute.partition={','.join(chosen) or choice[0].name}: accepts no jobs at the moment "
                f"(its state is {choice[0].state}); {open_ones}"
            )
        refusals = []
        for name in dict.fromkeys(part.name for part in choice):
            try:
                self._fits_in(name, [part for part in choice if part.name == name], partitions)
                return
            except ConfigError as error:
                refusals.append(str(error))
        none = f"none of the partitions {', '.join(chosen)} accepts such a job: " if len(refusals) > 1 else ""
        raise ConfigError(f"{none}{refusals[0]}")

    def _fits_in(self, name: str, choice: list[Partition], partitions: list[Partition]) -> None:
        """Check that one partition can run such a job; `choice` has its types of nodes."""
        where = f"partition {name}" if self._partitions() else "the default partition"
        key = "timeout_min" if self.allocation_min is None else "allocation_min"
        for field_name, request, available in (
            ("cores", self.cores, [part.cores for part in choice]),
            ("nodes", self.nodes, [sum(part.nodes for part in choice)]),
            ("mem_gb", self.mem_mb, [part.mem_mb for part in choice]),
            ("gpus", self.gpus, [part.gpus for part in choice]),
            (key, self.sbatch()["time"], [part.limit_min for part in choice]),
        ):
            if request is not None and not any(most is None or request <= most for most in available):
                most = max(limit for limit in available if limit is not None)
                raise ConfigError(self._too_much(field_name, request, most, where, partitions))
        if not any(self._has(part) for part in choice):
            request = f"compute.cores={self.cores} and compute.mem_gb={self.mem_gb}"
            raise ConfigError(f"{request} together do not fit any node of partition {name}; {_sizes(partitions)}")

    def _too_much(self, key: str, request: float, most: float, where: str, partitions: list[Partition]) -> str:
        extra = {
            "mem_gb": f" ({request} MB with {WORKER_MB} MB for the worker)",
            "timeout_min": f" ({request} minutes with start and end)",
        }.get(key, "")
        return (
            f"compute.{key}={getattr(self, key):g}{extra} is more than {where} has; "
            f"{self._largest(key, most)} would fit; {_sizes(partitions)}"
        )

    def _partitions(self) -> list[str]:
        """The partitions that a job may start in, from the options or the environment; none: the cluster's default."""
        value = self.options.get("partition") or self.partition or os.environ.get("SBATCH_PARTITION", "")
        return [name.strip() for name in str(value).split(",") if name.strip()]

    def _largest(self, key: str, most: float) -> str:
        """The largest value of a key that fits, less what the job itself needs."""
        if key == "mem_gb":
            return f"compute.mem_gb={math.floor((most - WORKER_MB) * 2**20 / 1e7) / 100:g}"
        if key == "timeout_min":
            return f"compute.timeout_min={max(most - MARGIN_MIN - math.ceil(self.kill_wait_s / 60), 0):g}"
        return f"compute.{key}={most:g}"

    def _has(self, part: Partition) -> bool:
        return (self.cores or 1) <= part.cores and (self.mem_mb or 0) <= part.mem_mb


def _checked(line: str) -> str:
    """A line of compute.setup that ends the job if it fails; it may end with a comment."""
    message = shlex.quote(f"compute.setup: this line failed: {line}")
    return f"{{\n{line}\n}} || {{ echo {message} >&2; exit 1; }}"


def _sizes(partitions: list[Partition]) -> str:
    rows = [
        f"{part.name}: {part.size}, "
        + ("no time limit" if part.limit_min is None else f"at most {part.limit_min:g} minutes")
        for part in partitions
    ]
    return f"partitions: {'; '.join(rows)}"
