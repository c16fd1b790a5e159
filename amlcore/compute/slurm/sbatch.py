"""Submission to Slurm: the batch file of an allocation, and the answer of sbatch."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

from amlcore.compute.slurm import cluster
from amlcore.errors import ExecutionError

TOO_LONG = "Invalid job array specification"
LIMIT = re.compile(r"\w*Submit\w*Limit")
"""How sbatch names a limit on submitted jobs, such as AssocMaxSubmitJobLimit."""

UNNAMED_LIMIT = "job submit limit"
QUEUE_FULL_MESSAGE = "temporarily unable to accept job"
OWN_LIMITS = ("AssocMaxSubmitJobLimit", "QOSMaxSubmitJobPerUserLimit", UNNAMED_LIMIT)
"""The limits that count only this user's own jobs."""

# Environment variables that override the batch file and are not named like the option.
OPTION_VARIABLES = {
    "array": ("ARRAY_INX",),
    "gpus_per_node": ("GPUS", "GPUS_PER_NODE", "GPUS_PER_TASK"),
    "mem": ("MEM_PER_CPU", "MEM_PER_GPU", "MEM_PER_NODE"),
    "time": ("TIMELIMIT",),
}
ALWAYS = ("ERROR", "INPUT", "JOB_NAME", "NO_REQUEUE", "OPEN_MODE", "OUTPUT", "REQUEUE", "SIGNAL", "WAIT")


class LimitError(ExecutionError):
    """Slurm accepts no more jobs at the moment, or fewer at once."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name
        self.is_own = name in OWN_LIMITS


class ArrayTooLongError(ExecutionError):
    """The array has more tasks than this cluster's MaxArraySize."""


def submit(queue: Path, count: int, parameters: dict[str, Any]) -> list[str]:
    """Submit `count` jobs for `queue`, as an array if there are several; return their ids.

    Raises
    ------
    LimitError
        Slurm accepts no more jobs at the moment, or fewer at once.
    ArrayTooLongError
        The array has more tasks than Slurm allows.
    UnreachableError
        The controller does not answer.
    ExecutionError
        Slurm refuses such jobs, or its answer cannot be read.
    """
    folder = queue / "slurm"
    folder.mkdir(exist_ok=True)
    file = folder / "batch.sh"
    file.write_text(batch_file(queue, parameters), encoding="utf-8", errors="surrogateescape")
    array = [f"--array=0-{count - 1}%{min(count, parameters['array_parallelism'])}"] if count > 1 else []
    try:
        answer = cluster.ask("sbatch", *array, str(file), without=_variables(parameters))
    except cluster.UnreachableError:
        raise
    except ExecutionError as error:
        raise _meaning(str(error)) from None
    job = submitted_job(answer)
    return [f"{job}_{number}" for number in range(count)] if array else [job]


def batch_file(queue: Path, parameters: dict[str, Any]) -> str:
    """The batch script: submitit's options, then the allocation, which replaces the shell.

    The shell opens the logs itself: sbatch would expand patterns in the names of their folders.
    """
    from submitit.slurm.slurm import _make_sbatch_string  # submitit takes a while to import

    folder = queue / "slurm"
    open_logs = [
        'log="${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}"',
        f"log={shlex.quote(f'{folder}/')}${{log:-$SLURM_JOB_ID}}_0_log",
        'exec >>"$log.out" 2>>"$log.err" || exit 1',
    ]
    extra = {"chdir": str(folder), **parameters["additional_parameters"], "output": "/dev/null", "error": "/dev/null"}
    command = shlex.join([sys.executable, "-u", "-P", "-m", "amlcore", "_allocation", str(queue)])
    options = {
        **parameters,
        "setup": [*open_logs, *(parameters.get("setup") or [])],
        "additional_parameters": extra,
    }
    # exec, since the shell would not forward Slurm's signals.
    return str(_make_sbatch_string(command=f"exec {command}", folder="/dev/null", **options))


def submitted_job(answer: str) -> str:
    """The job id in the output of sbatch, whatever else a wrapper of the cluster prints.

    Raises
    ------
    ExecutionError
        The output has none.
    """
    match = re.search(r"^Submitted batch job (\d+)|^(\d+)(?:;\S+)?$", answer, re.MULTILINE)
    if match is None:
        shown = answer.strip()[: cluster.QUOTED_CHARACTERS]
        raise ExecutionError(
            f"sbatch printed {shown!r} instead of 'Submitted batch job' and a number; "
            "check that the sbatch on your PATH is Slurm's own (type -a sbatch)"
        )
    return match[1] or match[2]


def _meaning(message: str) -> ExecutionError:
    """The error that a refusal by sbatch means."""
    if TOO_LONG in message:
        return ArrayTooLongError(message)
    if named := LIMIT.search(message):
        return LimitError(named[0])
    if UNNAMED_LIMIT in message:
        return LimitError(UNNAMED_LIMIT)
    if QUEUE_FULL_MESSAGE in message:
        return LimitError("the cluster's MaxJobCount")
    return ExecutionError(message)


def _variables(parameters: dict[str, Any]) -> list[str]:
    """The environment variables that would override options of the batch file."""
    options = {**parameters, **parameters["additional_parameters"], "array": True}
    stated = [key.replace("-", "_") for key, value in options.items() if value is not None]
    named = [name for key in stated for name in OPTION_VARIABLES.get(key, (key.upper(),))]
    return [f"SBATCH_{name}" for name in (*ALWAYS, *named)]
