"""The Cluster: partitions and jobs as Slurm's own commands show them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from amlcore.errors import ConfigError, ExecutionError

COMMANDS = ("sbatch", "squeue", "sacct", "sinfo", "scancel")
COMMAND_TIMEOUT_S = 60
QUOTED_CHARACTERS = 200  # of an unreadable answer
UNREACHABLE_SIGNS = ("Unable to contact slurm controller", "Connection refused", "Socket timed out", "timed out")
JOB_VARIABLES = re.compile(r"(SLURM|SLURMD|SUBMITIT|PMI|PMIX|PMI2)_|SBATCH_(CPU|MEM)_BIND|SRUN_DEBUG$")
"""What Slurm sets in a job: `aml` may be called in one, and its commands and jobs must not inherit it."""

SITE_VARIABLES = ("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT")
DISPLAY_VARIABLES = re.compile(r"(SQUEUE|SACCT|SINFO|SCANCEL)_")
"""A user's preferred view of a queue: some are filters, which would hide jobs."""

PARTITION_FORMAT = "%P|%a|%l|%c|%m|%D|%G"
JOB_FORMAT = "%i|%T|%r"
GPUS = re.compile(r"\bgpu(?::[^:,(]+)?:(\d+)")
"""The number of GPUs of one type on a node: gpu:2, or gpu:a100:4(S:0-1) among other resources."""

ENDED = frozenset(
    ("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT")
)

# The reasons of squeue(1), and what they mean to a user.
REASONS = {
    "None": "Slurm has not considered the job yet",
    "Resources": "no node has enough free cores or memory at the moment (Resources)",
    "Priority": "other jobs come first (Priority)",
    "BeginTime": "Slurm restarts the job after a pause of about two minutes (BeginTime)",
    "JobArrayTaskLimit": "compute.slots runs are active already (JobArrayTaskLimit)",
    "PartitionDown": "the partition is down (PartitionDown)",
    "PartitionInactive": "the partition is inactive (PartitionInactive)",
    "NodeDown": "a node that the job needs is down (NodeDown)",
    "JobHeldUser": "you put the job on hold; release it with scontrol release (JobHeldUser)",
    "JobHeldAdmin": "an administrator put the job on hold (JobHeldAdmin)",
    "Dependency": "the job waits for other jobs (Dependency)",
    "QOSMaxJobsPerUserLimit": "your jobs have reached the limit of the QOS (QOSMaxJobsPerUserLimit)",
}


Row = TypeVar("Row")


class UnreachableError(ExecutionError):
    """Slurm's controller or accounting does not answer at the moment, or its answer cannot be read."""


@dataclass(frozen=True)
class Partition:
    """Identical nodes of a partition, and the limits of a job there."""

    name: str
    default: bool
    limit_min: float | None  # the longest time of a job; None: no limit
    cores: int  # of a node
    mem_mb: int  # of a node
    nodes: int
    gpus: int = 0  # of a node
    state: str = "up"  # of the partition, as sinfo(1) says: up, down, drain, inactive

    @property
    def size(self) -> str:
        """The size of its nodes, for a message."""
        gpus = f", {self.gpus} GPU{'s' * (self.gpus > 1)}" if self.gpus else ""
        return f"{self.nodes} node{'s' * (self.nodes > 1)} of {self.cores} cores, {self.mem_mb} MB{gpus}"


@dataclass(frozen=True)
class QueuedJob:
    """A job that Slurm holds or runs."""

    state: str
    reason: str

    @property
    def why(self) -> str:
        """Why it waits, for a message."""
        if self.state == "CONFIGURING":
            return "its nodes are starting up"
        return REASONS.get(self.reason, self.reason)


@dataclass(frozen=True)
class EndedJob:
    """A job as accounting remembers it."""

    state: str
    node: str
    exit_status: str


def check_present() -> None:
    """Check that this machine has Slurm's commands.

    Raises
    ------
    ConfigError
        Some are missing.
    """
    missing = [name for name in COMMANDS if shutil.which(name) is None]
    if missing:
        raise ConfigError(
            f"compute=slurm: cannot find {', '.join(missing)}; run aml on a machine with Slurm's commands, "
            "such as a login node of the cluster, or use compute=local"
        )


def partitions() -> list[Partition]:
    """The partitions that Slurm shows to this user, in any state, with an entry for each type of node."""
    return _parsed(parse_partitions, "sinfo", "--noheader", "--exact", f"--format={PARTITION_FORMAT}")


def jobs(user: int | None = None) -> dict[str, QueuedJob]:
    """The active jobs of this user, or of the uid `user`, by id; each task of an array is a job."""
    user_option = f"--user={os.getuid() if user is None else user}"
    return _parsed(parse_jobs, "squeue", "--noheader", "--array", user_option, f"--format={JOB_FORMAT}")


def ended_jobs(ids: list[str]) -> dict[str, EndedJob]:
    """The jobs among `ids` that have ended, as accounting knows them."""
    if not ids:
        return {}
    whole = sorted({name.split("_")[0] for name in ids})  # tasks that never began are shown only as part of their array
    command = ("sacct", "--noheader", "--parsable2", "--allocations", "--format=JobID,State,NodeList,ExitCode")
    ended = _parsed(parse_ended, *command, f"--jobs={','.join(whole)}")
    return {name: ended[name] for name in ids if name in ended}


def cancel(ids: list[str], *, pending_only: bool = False) -> None:
    """End jobs; one that has ended already is not an error."""
    if ids:
        ask("scancel", "--quiet", *(["--state=PENDING"] if pending_only else []), *ids, check=False)


def environment(without: Iterable[str] = ()) -> dict[str, str]:
    """The variables for Slurm's commands: this process's, without those of a job around it and without filters."""
    excluded = set(without)
    inside = "SLURM_JOB_ID" in os.environ
    return {
        name: value
        for name, value in os.environ.items()
        if name not in excluded
        and not DISPLAY_VARIABLES.match(name)
        and (not inside or name in SITE_VARIABLES or not JOB_VARIABLES.match(name))
    }


def ask(*command: str, check: bool = True, without: Iterable[str] = ()) -> str:
    """Call one of Slurm's commands and return what it prints.

    Parameters
    ----------
    without : iterable of str
        Environment variables that the command does not get.

    Raises
    ------
    UnreachableError
        The controller does not answer.
    ExecutionError
        The command refuses.
    """
    try:
        process = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_TIMEOUT_S,
            check=False,
            env=environment(without),
        )
    except subprocess.TimeoutExpired:
        raise UnreachableError(f"{command[0]} did not answer within {COMMAND_TIMEOUT_S} s") from None
    if process.returncode == 0 or not check:
        return process.stdout
    message = process.stderr.strip()
    kind = UnreachableError if is_unreachable(message) else ExecutionError
    raise kind(f"{command[0]}: {message}")


def _parsed(parse: Callable[[str], Row], *command: str) -> Row:
    """Parse the output of a command; an unreadable one counts as no answer."""
    answer = ask(*command)
    try:
        return parse(answer)
    except (ValueError, LookupError):
        shown = answer.strip()[:QUOTED_CHARACTERS]
        raise UnreachableError(f"{command[0]} printed output that cannot be read: {shown!r}") from None


def is_unreachable(message: str) -> bool:
    """Whether the error message of a command means an unreachable controller, rather than a refusal."""
    return any(sign in message for sign in UNREACHABLE_SIGNS)


def parse_partitions(text: str) -> list[Partition]:
    rows = [line.split("|") for line in text.splitlines() if line]
    return [
        Partition(
            name=name.rstrip("*"),
            default=name.endswith("*"),
            limit_min=minutes(limit),
            cores=int(cores),
            mem_mb=int(mem),
            nodes=int(nodes),
            gpus=sum(int(count) for count in GPUS.findall(gres)),
            state=state,
        )
        for name, state, limit, cores, mem, nodes, gres in rows
    ]


def parse_jobs(text: str) -> dict[str, QueuedJob]:
    rows = [line.split("|") for line in text.splitlines() if line]
    return {name: QueuedJob(state, reason) for name, state, reason in rows}


def parse_ended(text: str) -> dict[str, EndedJob]:
    ended = {}
    for line in text.splitlines():
        name, state, node, code = line.split("|")
        word = state.split()[0]  # CANCELLED by 1000
        if word in ENDED:
            ended.update(dict.fromkeys(tasks(name), EndedJob(word, node, exit_status=code.split(":")[0])))
    return ended


def tasks(name: str) -> list[str]:
    """The jobs that a name stands for: `7_[0-2,5%3]` is four tasks of an array, any other name is one job."""
    array, bracket, listed = name.partition("_[")
    if not bracket:
        return [name]
    spans = [span.split("-") for span in listed.rstrip("]").split("%")[0].split(",")]
    return [f"{array}_{number}" for span in spans for number in range(int(span[0]), int(span[-1]) + 1)]


def minutes(limit: str) -> float | None:
    """A time limit as sinfo(1) writes it, [days-]hours:minutes:seconds, in minutes."""
    if limit in ("infinite", "n/a"):
        return None
    days, _, clock = limit.rpartition("-")
    parts = [float(part) for part in clock.split(":")]
    hours, mins, seconds = [0.0] * (3 - len(parts)) + parts
    return float(days or 0) * 1440 + hours * 60 + mins + seconds / 60
