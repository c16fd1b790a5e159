"""The SourceState of a job: its snapshot, the hashes of its inputs, and the commit that is checked out."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amlcore.config.job import Job
from amlcore.log import Log
from amlcore.model import registered
from amlcore.record.forms import parse
from amlcore.record.reading import read_mapping
from amlcore.record.record import Record
from amlcore.script.inputs import Input
from amlcore.snapshot import snapshot
from amlcore.snapshot.ignore import DOTENV, IgnoreRules
from amlcore.snapshot.snapshot import Snapshot, SnapshotLimits
from amlcore.worker.files import write_json


@dataclass(frozen=True)
class PinnedInputs:
    """What a rerun takes from the run that it repeats."""

    run: str
    snapshot: Snapshot
    lock: str
    environment: dict[str, Any]
    git: dict[str, Any] | None


@dataclass(frozen=True)
class SourceState:
    """The source, inputs and repository of a job at its submission."""

    snapshot: dict[str, Any]
    inputs: dict[str, dict[str, Any]]
    git: dict[str, Any] | None


def source_key(job: Job) -> str:
    """What the trials of a sweep must have in common to share a SourceState."""
    script = job.script
    return repr((script.source_directory, sorted((name, asdict(item)) for name, item in script.inputs.items())))


def read_sources(record: Record) -> dict[str, SourceState]:
    """sources.json: what the trials of a sweep run, by `source_key`.

    Raises
    ------
    RecordError
        The file is damaged.
    """
    path = record.layout.sources
    return {key: parse(path, value, SourceState) for key, value in (read_mapping(path) or {}).items()}


def write_sources(record: Record, sources: Mapping[str, SourceState], *, sync: bool) -> None:
    write_json(record.layout.sources, {key: asdict(source) for key, source in sources.items()}, sync=sync)


def capture_source(job: Job, *, pinned: PinnedInputs | None = None) -> SourceState:
    """Take the snapshot of `job` and hash its inputs."""
    folder = Path(job.script.source_directory)
    source = pinned.snapshot if pinned else snapshot.take(folder, **_snapshot_options(job))
    return SourceState(
        snapshot=_describe_snapshot(source),
        inputs=describe_inputs(job),
        git=pinned.git if pinned else git_state(folder),
    )


def digest_source(job: Job) -> dict[str, Any]:
    """The snapshot of `job` as it would be taken now; nothing is written."""
    return _describe_snapshot(snapshot.digest(Path(job.script.source_directory), **_snapshot_options(job)))


def describe_inputs(job: Job) -> dict[str, dict[str, Any]]:
    """Path, mode, sha256 and size in bytes of each input of `job`."""
    return {name: _describe_input(value) for name, value in job.script.inputs.items()}


def git_state(folder: Path) -> dict[str, Any] | None:
    """The commit checked out in `folder` and whether its tree has changes; None outside a repository."""
    if shutil.which("git") is None:
        return None
    status = subprocess.run(
        ["git", "-C", str(folder), "status", "--porcelain=v2", "--branch", "--untracked-files=normal", "--", "."],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
    )
    if status.returncode != 0:
        return None
    heads = dict(line[2:].split(" ", 1) for line in status.stdout.splitlines() if line.startswith("# "))
    commit = heads.get("branch.oid", "(initial)")
    return {
        "commit": None if commit == "(initial)" else commit,
        "branch": heads.get("branch.head"),
        "dirty": any(not line.startswith("# ") for line in status.stdout.splitlines()),
    }


def _snapshot_options(job: Job) -> dict[str, Any]:
    workspace = job.workspace
    return {
        "store": workspace.snapshots_path,
        "limits": SnapshotLimits(workspace.snapshot_max_mb, workspace.snapshot_max_files),
        "exclude": (workspace.outputs_path, *registered(workspace.models_path), workspace.state_path),
    }


def _describe_snapshot(source: Snapshot) -> dict[str, Any]:
    return {"id": source.id, "files": source.files, "size_bytes": source.size_bytes}


def _describe_input(value: Input) -> dict[str, Any]:
    sha256, size = value.digest()
    return {"path": value.path, "mode": value.mode, "sha256": sha256, "size_bytes": size}


def log_skipped_dotenv(job: Job, *, log: Log) -> None:
    """Log a note if the snapshot, which other users may read, skips a .env file."""
    source = Path(job.script.source_directory)
    for folder in dict.fromkeys((source, (source / str(job.script.file)).parent)):
        path = folder / DOTENV
        if path.is_file() and IgnoreRules(source).is_secret(path.relative_to(source).as_posix()):
            log(
                f"note: {path.relative_to(source)} is not in the snapshot: it may contain secrets; pass them with "
                "+script.environment_variables.NAME='${oc.env:NAME}', or include the file with !.env in .amlignore"
            )
