"""The submission of a job: everything checked, the source and inputs pinned down, the run's folder made."""

from __future__ import annotations

import getpass
import os
import platform
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from amlcore.compute.request import RunRequest, WorkerKind
from amlcore.config.job import Job
from amlcore.config.secrets import check_secrets
from amlcore.environment import BuiltEnvironment
from amlcore.errors import ConfigError, RequestError
from amlcore.log import Log
from amlcore.model import registered
from amlcore.record.record import Record
from amlcore.record.status import RunState
from amlcore.snapshot import snapshot
from amlcore.snapshot.listing import DOTENV, IgnoreRules
from amlcore.snapshot.snapshot import Snapshot, SnapshotLimits
from amlcore.version import __version__
from amlcore.worker import durable
from amlcore.worker.layout import EXPERIMENT_LENGTH, create_run_folder, is_experiment, write_json
from amlcore.worker.process import top_imports


@dataclass(frozen=True)
class PinnedInputs:
    """What an earlier run fixed for its repetition."""

    run: str
    snapshot: Snapshot
    lock: str
    environment: dict[str, Any]
    git: dict[str, Any] | None


def check(job: Job, *, pinned: bool = False) -> None:
    """Find out before anything starts whether `job` can be carried out here.

    Parameters
    ----------
    pinned : bool
        Whether its source and its environment are those of an earlier run, so that today's are not looked at.

    Raises
    ------
    RequestError
        Something that it names is missing or wrong.
    """
    if job.script.file is None:
        job.script.check()
    check_experiment(job.name)
    check_secrets(job, [])  # a job of Python was never composed
    if not pinned:
        job.script.check()
        job.environment.specify(job.workspace.path)
    job.environment.check_folder(job.workspace.environments_path)
    job.compute.check()


def log_unread_block(job: Job, *, log: Log) -> None:
    """Say so where the script has a PEP 723 block, and another environment than it asks for."""
    file = job.script.file
    assert file is not None
    script = Path(job.script.source_directory, file)
    if job.environment.passes_over(script, root=job.workspace.path):
        log(
            f"note: {file} has a block `# /// script` that says what it needs; environment="
            f"{job.environment.name} does not read it, environment=script does"
        )


def log_skipped_dotenv(job: Job, *, log: Log) -> None:
    """Say so where a file of secrets beside the script stays out of the snapshot, which others may read."""
    source = Path(job.script.source_directory)
    rules = IgnoreRules(source)
    for folder in dict.fromkeys((source, (source / str(job.script.file)).parent)):
        path = folder / DOTENV
        if path.is_file() and rules.is_secret(path.relative_to(source).as_posix()):
            log(
                f"note: {path.relative_to(source)} is left out of the snapshot, since it may hold secrets; pass them "
                "with +script.environment_variables.NAME='${oc.env:NAME}', or bring it with !.env in .amlignore"
            )


def check_experiment(name: Any) -> None:
    """Raises ConfigError for what cannot be the name of an experiment, since it is a folder's too."""
    if not is_experiment(name):
        raise ConfigError(
            f"experiment_name={name}: use letters, digits, '-', '_' and '.', a letter or digit first, "
            f"{EXPERIMENT_LENGTH} at most"
        )


@dataclass(frozen=True)
class SourceState:
    """What a job's script, inputs and repository were when it was submitted."""

    snapshot: dict[str, Any]
    inputs: dict[str, dict[str, Any]]
    git: dict[str, Any] | None


def submit(job: Job, *, overrides: list[str], pinned: PinnedInputs | None = None) -> Record:
    """Check `job`, take its snapshot, hash its inputs and lay its record, in the state NotStarted."""
    check(job, pinned=pinned is not None)
    job.workspace.writable()
    source = capture_source(job, pinned=pinned)
    with new_folder(job) as folder:
        return write_run_record(job, source, folder=folder, overrides=overrides, pinned=pinned)


@contextmanager
def new_folder(job: Job) -> Iterator[Path]:
    """Make the folder of a new run of `job`; it is gone again where its record cannot be laid."""
    try:
        folder = Path(create_run_folder(job.workspace.root, job.name)[1])
    except (FileExistsError, NotADirectoryError) as error:
        raise RequestError(
            f"experiment_name={job.name}: its runs would lie in {error.filename}, which is no folder"
        ) from None
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def capture_source(job: Job, *, pinned: PinnedInputs | None = None) -> SourceState:
    """Take the snapshot of `job` and hash its inputs."""
    taken = pinned.snapshot if pinned else take_snapshot(job)
    return SourceState(
        snapshot={"id": taken.id, "files": taken.files, "size_bytes": taken.size_bytes},
        inputs={name: _describe(value) for name, value in job.script.inputs.items()},
        git=pinned.git if pinned else git_state(Path(job.script.source_directory)),
    )


def write_run_record(
    job: Job,
    source: SourceState,
    *,
    folder: Path,
    overrides: list[str],
    pinned: PinnedInputs | None = None,
    parent: str | None = None,
    more: dict[str, Any] | None = None,
) -> Record:
    """Lay the record of a run in its folder, in the state NotStarted.

    Parameters
    ----------
    more : dict
        Further facts of the run, for run.json.
    """
    record = Record(folder)
    Path(record.layout.logs).mkdir(exist_ok=True)
    facts = {
        "id": record.folder.name,
        "experiment": job.name,
        "parent": parent,
        "created": datetime.now(UTC).isoformat(),
        "script": job.script.file,
        "module": job.script.module,
        "source_directory": job.script.source_directory,
        "working_folder": _working_folder(),
        "parameters": job.script.parameters,
        "arguments": job.script.command_line(),
        "overrides": overrides,
        "environment": job.environment.name,
        "compute": job.compute.kind,
        "snapshot": source.snapshot,
        "inputs": source.inputs,
        "git": source.git,
        "versions": {"amlcore": __version__, "python": platform.python_version()},
        "host": socket.gethostname(),
        "user": _user(),
        "rerun_of": pinned.run if pinned else None,
        **(more or {}),
    }
    Path(record.layout.config).write_text(job.to_yaml(), encoding="utf-8")
    written = yaml.safe_dump(overrides, allow_unicode=True, width=float("inf"))
    Path(record.layout.overrides).write_text(written, encoding="utf-8")
    if pinned:
        Path(record.layout.lock).write_text(pinned.lock, encoding="utf-8")
        write_json(record.layout.environment, pinned.environment)
    record.drive()
    write_json(record.layout.run, facts)
    record.enter(RunState.NotStarted)
    if parent is None:  # so that the run is known as lost, rather than unreadable, should the machine go down now
        durable.sync_tree(record.folder)
        durable.sync_up(record.folder, job.workspace.path)
    return record


def take_snapshot(job: Job) -> Snapshot:
    return snapshot.take(Path(job.script.source_directory), **_snapshot_options(job))


def dry_run(job: Job) -> dict[str, Any]:
    """The request as it would be submitted, with nothing written or started."""
    check(job)
    taken = snapshot.digest(Path(job.script.source_directory), **_snapshot_options(job))
    specification = job.environment.specify(job.workspace.path)
    return {
        "experiment": job.name,
        "script": job.script.file,
        **({} if job.script.module is None else {"module": job.script.module}),
        "arguments": job.script.command_line(),
        "source_directory": job.script.source_directory,
        "snapshot": {"id": taken.id, "files": taken.files, "size_bytes": taken.size_bytes},
        "inputs": {name: _describe(value) for name, value in job.script.inputs.items()},
        "environment_variables": job.script.environment_variables,
        "environment": {**asdict(job.environment), "requirements": list(specification.requirements)},
        "compute": job.compute.describe(),
        "model": asdict(job.model) if job.model.name else None,
        "deployment": asdict(job.deployment) if job.deployment else None,
        "workspace": job.workspace.root,
    }


def request(job: Job, record: Record, built: BuiltEnvironment) -> tuple[RunRequest, WorkerKind]:
    """The plain values that a worker carries out `job` by, and the kind of worker that can."""
    store = job.workspace.state_path / "snapshots"
    script = job.script
    file = script.file
    assert file is not None
    kind = WorkerKind(
        interpreter=str(built.python),
        environment_variables=script.environment_variables,
        cores=job.compute.cores,
        preload=_preload(script.source_directory, file, script.executed) if job.compute.warm else (),
    )
    wanted = RunRequest(
        run=record.folder.name,
        folder=str(record.folder),
        objects=str(store / "objects"),
        manifest=str(store / "manifests" / f"{record.facts['snapshot']['id']}.json"),
        script=file,
        module=script.module,
        argv=script.command_line(),
        environment_variables=script.environment_variables,
        inputs={name: {"path": value.path, "mode": value.mode} for name, value in script.inputs.items()},
        timeout_s=job.compute.timeout_s,
        mem_bytes=job.compute.mem_bytes,
        kill_wait_s=job.compute.kill_wait_s,
        resumable=job.compute.resumable,
    )
    return wanted, kind


@lru_cache
def _preload(folder: str, script: str, module: str | None) -> tuple[str, ...]:
    # Once a driver: all trials of a sweep run the source as it was when the first was submitted.
    return tuple(top_imports.imports(folder, script, module))


def git_state(folder: Path) -> dict[str, Any] | None:
    """The commit that `folder` stands at and whether its tree has changes; None outside a repository."""
    if shutil.which("git") is None:
        return None
    said = subprocess.run(
        ["git", "-C", str(folder), "status", "--porcelain=v2", "--branch", "--untracked-files=normal", "--", "."],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
    )
    if said.returncode != 0:
        return None
    heads = dict(line[2:].split(" ", 1) for line in said.stdout.splitlines() if line.startswith("# "))
    commit = heads.get("branch.oid", "(initial)")
    return {
        "commit": None if commit == "(initial)" else commit,
        "branch": heads.get("branch.head"),
        "dirty": any(not line.startswith("# ") for line in said.stdout.splitlines()),
    }


def _working_folder() -> str | None:
    """Where the run was asked for; None where that folder was removed meanwhile."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user that nobody has named
        return str(os.getuid())


def _snapshot_options(job: Job) -> dict[str, Any]:
    workspace = job.workspace
    return {
        "store": workspace.state_path / "snapshots",
        "limits": SnapshotLimits(workspace.snapshot_max_mb, workspace.snapshot_max_files),
        "exclude": (workspace.outputs_path, *registered(workspace.models_path), workspace.state_path),
    }


def _describe(value: Any) -> dict[str, Any]:
    sha256, size = value.digest()
    return {"path": value.path, "mode": value.mode, "sha256": sha256, "size_bytes": size}
