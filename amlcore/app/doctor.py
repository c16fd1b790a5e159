"""The doctor: whether this machine and its cluster can take runs, and which records are damaged."""

from __future__ import annotations

import shlex
import sys
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from amlcore.compute import ComputeTarget, Slurm
from amlcore.compute.slurm import cluster, sbatch
from amlcore.errors import AmlcoreError, DeploymentError, ExecutionError, UnreadableError
from amlcore.model.aliases import damaged_entries
from amlcore.model.damaged import damaged_models
from amlcore.model.folders import named
from amlcore.record.contents import inspect_record
from amlcore.record.record import Record
from amlcore.serving.keys import ServiceKeys
from amlcore.serving.service import list_services
from amlcore.workspace import Workspace

POLL_S = 0.5
ANSWER_S = 60.0
"""Seconds that the tiny job may wait and run."""

VISIBLE_S = 10.0
"""Seconds that a shared filesystem may take to show what another machine wrote."""

TINY = "import socket, sys; open(sys.argv[2], 'w').write(open(sys.argv[1]).read() + socket.gethostname())"


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str
    good: bool
    message: str


def examine(workspace: Workspace, target: ComputeTarget) -> Iterator[Finding]:
    """Check everything that a run on `target` needs; yield each finding at once."""
    yield _finding("python", lambda: f"{sys.version.split()[0]} ({sys.executable})")
    yield _finding("outputs", lambda: _writable(workspace))
    yield from _examine_records(workspace)
    if isinstance(target, Slurm):
        yield from _examine_slurm(workspace, target)


def _examine_records(workspace: Workspace) -> Iterator[Finding]:
    """One finding for each damaged file of a run, model or service; a single good one if all are intact."""
    damaged, runs = 0, 0
    for folder in sorted(workspace.run_folders):
        runs += 1
        try:
            messages = inspect_record(Record(folder))
        except (UnreadableError, OSError):  # another user's
            continue
        for message in messages:
            damaged += 1
            yield Finding(f"run {folder.name}", False, message)
    for model in damaged_models(workspace.models_path, thorough=True):
        damaged += 1
        yield Finding(f"model {model.name}:{model.version}", False, model.reason)
    for own in sorted(named(workspace.models_path)):
        for error in damaged_entries(own):
            damaged += 1
            yield Finding(f"log of model {own.name}", False, str(error))
    for path in sorted((workspace.state_path / "keys").glob("*.json")):
        try:
            ServiceKeys(path).read()
        except DeploymentError as error:
            damaged += 1
            yield Finding(f"keys of service {path.stem}", False, str(error))
    with warnings.catch_warnings(record=True, action="always") as caught:
        list_services(workspace.state_path / "services")
    for warning in caught:
        damaged += 1
        yield Finding("services", False, str(warning.message))
    if not damaged:
        yield Finding("records", True, f"the files of {runs} runs and of all models and services are intact")


def _examine_slurm(workspace: Workspace, target: Slurm) -> Iterator[Finding]:
    """Stop at the first bad finding: each check needs the ones before it."""
    for name, check in (
        ("commands", _commands),
        ("controller", _controller),
        ("accounting", _accounting),
        ("partitions", lambda: _partitions(target)),
        ("tiny job", lambda: _tiny_job(workspace, target)),
    ):
        yield (finding := _finding(name, check))
        if not finding.good:
            return


def _finding(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, check())
    except AmlcoreError as error:
        return Finding(name, False, str(error))
    except OSError as error:
        return Finding(name, False, f"{error.filename}: {error.strerror}")


def _writable(workspace: Workspace) -> str:
    workspace.writable()
    return f"{workspace.outputs_path} is writable"


def _commands() -> str:
    cluster.check_present()
    return ", ".join(cluster.COMMANDS)


def _controller() -> str:
    return f"answers; your jobs: {len(cluster.jobs())}"


def _accounting() -> str:
    cluster.ended_jobs(["1"])
    return f"{cluster.ask('sacct', '--version').strip()} answers"


def _partitions(target: Slurm) -> str:
    partitions = cluster.partitions()
    target.fits(partitions)
    marks = {True: " (default)", False: ""}
    states = {part.name: "" if part.state == "up" else f" ({part.state})" for part in partitions}
    return ", ".join(f"{part.name}{marks[part.default]}{states[part.name]}: {part.size}" for part in partitions)


def _tiny_job(workspace: Workspace, target: Slurm) -> str:
    """Submit a job that reads one file in outputs/ and writes another with this interpreter."""
    token = uuid.uuid4().hex
    question, answer, log = (workspace.outputs_path / f".doctor-{token}.{end}" for end in ("in", "out", "log"))
    question.write_text(token)
    job = ""
    try:
        # The job opens its log itself: sbatch would expand patterns such as %j in the path.
        tiny = shlex.join([sys.executable, "-I", "-c", TINY, str(question), str(answer)])
        command = f"exec >{shlex.quote(str(log))} 2>&1; {tiny}"
        job = sbatch.submitted_job(cluster.ask("sbatch", *_options(target), "--output=/dev/null", f"--wrap={command}"))
        return _await(job, answer, token, log)
    finally:
        with suppress(ExecutionError):
            cluster.cancel([job] if job else [])
        for path in (question, answer, log):
            path.unlink(missing_ok=True)


def _await(job: str, answer: Path, token: str, log: Path) -> str:
    started = time.monotonic()
    ended_at = None
    while True:
        if answer.exists() and (text := answer.read_text()).startswith(token) and text != token:
            host = text.removeprefix(token)
            return f"node {host} sees outputs/ and {sys.executable} ({time.monotonic() - started:.0f} s)"
        ended = cluster.ended_jobs([job]).get(job)
        if ended is not None and ended.state != "COMPLETED":
            output = log.read_text(errors="replace").strip() if log.exists() else "not even its log is visible here"
            raise ExecutionError(f"job {job} on {ended.node}: {ended.state}: {output}")
        now = time.monotonic()
        if ended is not None:
            ended_at = ended_at or now
            if now - ended_at > VISIBLE_S:
                raise ExecutionError(
                    f"job {job} ran on {ended.node}, but the file it wrote to {answer.parent} is not visible here; "
                    "keep the workspace on a filesystem that all nodes share"
                )
        elif now - started > ANSWER_S:
            pending = cluster.jobs().get(job)
            why = f"{pending.state}: {pending.why}" if pending else "reason unknown"
            raise ExecutionError(f"job {job} did not run within {ANSWER_S:.0f} s ({why}); it was canceled")
        time.sleep(POLL_S)


def _options(target: Slurm) -> list[str]:
    """The options of sbatch that say where a job runs."""
    fields = {"partition": target.partition, "account": target.account, "qos": target.qos}
    options = {**fields, "constraint": target.constraint, **target.options}
    options = {name: value for name, value in options.items() if value is not None}
    flags = [f"--{name}" if value is True else f"--{name}={value}" for name, value in options.items()]
    return ["--job-name=aml-doctor", "--time=1", *flags]
