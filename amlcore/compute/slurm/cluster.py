"""The Cluster: what Slurm's own commands tell about partitions and jobs."""

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
SHOWN_CHARACTERS = 200  # of an answer that makes no sense
UNREACHABLE = ("Unable to contact slurm controller", "Connection refused", "Socket timed out", "timed out")
OF_A_JOB = re.compile(r"(SLURM|SLURMD|SUBMITIT|PMI|PMIX|PMI2)_|SBATCH_(CPU|MEM)_BIND|SRUN_DEBUG$")
"""What Slurm sets in a job: `aml` may be called in one, and neither its questions nor its jobs are of that one."""

OF_A_SITE = ("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT")
OF_TASTE = re.compile(r"(SQUEUE|SACCT|SINFO|SCANCEL)_")
"""How a user likes to see a queue: filters among them, which would hide jobs."""

PARTITION_FORMAT = "%P|%a|%l|%c|%m|%D|%G"
JOB_FORMAT = "%i|%T|%r"
GPUS = re.compile(r"\bgpu(?::[^:,(]+)?:(\d+)")
"""How many of a sort of GPU a node has: gpu:2, or gpu:a100:4(S:0-1) among other resources."""

ENDED = frozenset(
    ("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT")
)

# What squeue(1) calls the reason, and what it means to a user.
REASONS = {
    "None": "Slurm has not looked at the job yet",
    "Resources": "no node has enough free cores or memory at the moment (Resources)",
    "Priority": "other jobs come first (Priority)",
    "BeginTime": "Slurm starts the job again after a pause of about two minutes (BeginTime)",
    "JobArrayTaskLimit": "compute.slots runs are active already (JobArrayTaskLimit)",
    "PartitionDown": "the partition is down (PartitionDown)",
    "PartitionInactive": "the partition is inactive (PartitionInactive)",
    "NodeDown": "a node that it needs is down (NodeDown)",
    "JobHeldUser": "you hold it: scontrol release lets it go on (JobHeldUser)",
    "JobHeldAdmin": "an administrator holds it (JobHeldAdmin)",
    "Dependency": "it waits for other jobs (Dependency)",
    "QOSMaxJobsPerUserLimit": "your jobs have reached the limit of the QOS (QOSMaxJobsPerUserLimit)",
}


Row = TypeVar("Row")


class UnreachableError(ExecutionError):
    """The Slurm controller, or its accounting, does not answer at the moment, or not in a form that can be read."""


@dataclass(frozen=True)
class Partition:
    """Alike nodes of a partition, and what a job may ask of it."""

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
        """What its nodes have, in words."""
        gpus = f", {self.gpus} GPU{'s' * (self.gpus > 1)}" if self.gpus else ""
        return f"{self.nodes} node{'s' * (self.nodes > 1)} of {self.cores} cores, {self.mem_mb} MB{gpus}"


@dataclass(frozen=True)
class QueuedJob:
    """A job that Slurm holds or runs."""

    state: str
    reason: str

    @property
    def why(self) -> str:
        """Why it waits, in words."""
        if self.state == "CONFIGURING":
            return "its nodes are coming up"
        return REASONS.get(self.reason, self.reason)


@dataclass(frozen=True)
class EndedJob:
    """A job as accounting remembers it."""

    state: str
    node: str
    exit_status: str


def check_present() -> None:
    """Make sure that this machine has Slurm's commands.

    Raises
    ------
    ConfigError
        Some are missing.
    """
    missing = [name for name in COMMANDS if shutil.which(name) is None]
    if missing:
        raise ConfigError(
            f"compute=slurm: this machine has no {', '.join(missing)}; run it where Slurm's commands are "
            "(a login node of the cluster), or on this machine with compute=local"
        )


def partitions() -> list[Partition]:
    """The partitions that Slurm shows to this user, whatever their state, an entry for each sort of node."""
    return _parsed(parse_partitions, "sinfo", "--noheader", "--exact", f"--format={PARTITION_FORMAT}")


def jobs(user: int | None = None) -> dict[str, QueuedJob]:
    """This user's jobs that have not ended, or those of the uid `user`, by id; each task of an array by itself."""
    of = f"--user={os.getuid() if user is None else user}"
    return _parsed(parse_jobs, "squeue", "--noheader", "--array", of, f"--format={JOB_FORMAT}")


def ended_jobs(ids: list[str]) -> dict[str, EndedJob]:
    """What accounting knows of jobs that have ended; the others are left out."""
    if not ids:
        return {}
    whole = sorted({name.split("_")[0] for name in ids})  # tasks that never began are shown with their array alone
    command = ("sacct", "--noheader", "--parsable2", "--allocations", "--format=JobID,State,NodeList,ExitCode")
    known = _parsed(parse_ended, *command, f"--jobs={','.join(whole)}")
    return {name: known[name] for name in ids if name in known}


def cancel(ids: list[str], *, pending_only: bool = False) -> None:
    """End jobs; what has ended already is no error."""
    if ids:
        ask("scancel", "--quiet", *(["--state=PENDING"] if pending_only else []), *ids, check=False)


def environment(without: Iterable[str] = ()) -> dict[str, str]:
    """The variables that Slurm's commands get: this process's, but for those of a job around it and for filters."""
    left_out = set(without)
    inside = "SLURM_JOB_ID" in os.environ
    return {
        name: value
        for name, value in os.environ.items()
        if name not in left_out
        and not OF_TASTE.match(name)
        and (not inside or name in OF_A_SITE or not OF_A_JOB.match(name))
    }


def ask(*command: str, check: bool = True, without: Iterable[str] = ()) -> str:
    """What one of Slurm's commands prints.

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
        said = subprocess.run(
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
    if said.returncode == 0 or not check:
        return said.stdout
    words = said.stderr.strip()
    kind = UnreachableError if is_unreachable(words) else ExecutionError
    raise kind(f"{command[0]}: {words}")


def _parsed(parse: Callable[[str], Row], *command: str) -> Row:
    """What `parse` reads in the answer of a command; one that makes no sense says no more than none."""
    answer = ask(*command)
    try:
        return parse(answer)
    except (ValueError, LookupError):
        shown = answer.strip()[:SHOWN_CHARACTERS]
        raise UnreachableError(f"{command[0]} printed what cannot be read: {shown!r}") from None


def is_unreachable(words: str) -> bool:
    """Whether the words of a command mean that the controller was away, rather than that it refused."""
    return any(sign in words for sign in UNREACHABLE)


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
    found = {}
    for line in text.splitlines():
        name, state, node, code = line.split("|")
        word = state.split()[0]  # CANCELLED by 1000
        if word in ENDED:
            found.update(dict.fromkeys(tasks(name), EndedJob(word, node, exit_status=code.split(":")[0])))
    return found


def tasks(name: str) -> list[str]:
    """The jobs that a name stands for: `7_[0-2,5%3]` for four tasks of an array, any other for itself."""
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
