"""The submission of a job: checks it, captures its source and inputs, and creates the run's folder."""

from __future__ import annotations

import os
import platform
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from amlcore.config.job import Job
from amlcore.config.secrets import check_secrets
from amlcore.errors import ConfigError, RequestError
from amlcore.execution.source_state import PinnedInputs, SourceState, capture_source, describe_inputs, digest_source
from amlcore.log import Log, timed
from amlcore.record.record import Record
from amlcore.record.status import RunState
from amlcore.record.usage_lock import in_use
from amlcore.version import __version__
from amlcore.worker import durable
from amlcore.worker.files import write_json
from amlcore.worker.process_identity import current_user
from amlcore.worker.run_names import EXPERIMENT_LENGTH, create_run_folder, is_experiment


def check(job: Job, *, pinned: bool = False) -> None:
    """Check, before anything starts, that `job` can run here.

    Parameters
    ----------
    pinned : bool
        Whether source and environment come from an earlier run, so that the current ones are not checked.

    Raises
    ------
    RequestError
        Something that the job refers to is missing or wrong.
    """
    if job.script.file is None:
        job.script.check()
    check_experiment(job.name)
    check_secrets(job, [])  # a job built in Python was never composed
    if pinned:  # an unset variable would otherwise fail only in the worker
        job.script.check_references()
    else:
        job.script.check()
        job.environment.specify(job.workspace.path)
    job.environment.check_folder(job.workspace.environments_path)
    job.compute.check()


def log_unread_block(job: Job, *, log: Log) -> None:
    """Log a note if the script has a PEP 723 block that the job's environment does not read."""
    file = job.script.file
    assert file is not None
    script = Path(job.script.source_directory, file)
    if job.environment.passes_over(script, root=job.workspace.path):
        log(
            f"note: {file} declares its packages in a `# /// script` block, which environment={job.environment.name} "
            "does not read; use environment=script"
        )


def check_experiment(name: Any) -> None:
    """Raise ConfigError if `name` cannot be the name of an experiment, which is also a folder's name."""
    if not is_experiment(name):
        raise ConfigError(
            f"experiment_name={name}: use letters, digits, '-', '_' and '.', starting with a letter or digit, "
            f"at most {EXPERIMENT_LENGTH} characters"
        )


@timed
def submit(job: Job, *, overrides: list[str], pinned: PinnedInputs | None = None) -> Record:
    """Check `job`, take its snapshot, hash its inputs and write its record, in the state NotStarted."""
    check(job, pinned=pinned is not None)
    job.workspace.writable()
    with in_use(job.workspace.path):  # nobody may remove the snapshot before the record refers to it
        source = capture_source(job, pinned=pinned)
        with new_folder(job) as folder:
            return write_run_record(job, source, folder=folder, overrides=overrides, pinned=pinned)


@contextmanager
def new_folder(job: Job) -> Iterator[Path]:
    """Create the folder of a new run of `job`; remove it again if its record cannot be written."""
    try:
        folder = Path(create_run_folder(job.workspace.root, job.name)[1])
    except (FileExistsError, NotADirectoryError) as error:
        raise RequestError(
            f"experiment_name={job.name}: its runs would go to {error.filename}, which is not a folder"
        ) from None
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


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
    """Write the record of a run into its folder, in the state NotStarted.

    Parameters
    ----------
    more : dict
        More entries for run.json.
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
        "user": current_user(),
        "rerun_of": pinned.run if pinned else None,
        **(more or {}),
    }
    Path(record.layout.config).write_text(job.to_yaml(), encoding="utf-8")
    overrides_yaml = yaml.safe_dump(overrides, allow_unicode=True, width=float("inf"))
    Path(record.layout.overrides).write_text(overrides_yaml, encoding="utf-8")
    if pinned:
        Path(record.layout.lock).write_text(pinned.lock, encoding="utf-8")
        write_json(record.layout.environment, pinned.environment)
    record.drive(sync=False)  # the whole folder is synced below
    write_json(record.layout.run, facts)
    record.enter(RunState.NotStarted)
    if parent is None:  # if the machine goes down now, the run must read as lost, not as damaged
        durable.sync_new(record.folder, job.workspace.path)
    return record


def dry_run(job: Job) -> dict[str, Any]:
    """The request as it would be submitted, with nothing written or started."""
    check(job)
    specification = job.environment.specify(job.workspace.path)
    return {
        "experiment": job.name,
        "script": job.script.file,
        **({} if job.script.module is None else {"module": job.script.module}),
        "arguments": job.script.command_line(),
        "source_directory": job.script.source_directory,
        "snapshot": digest_source(job),
        "inputs": describe_inputs(job),
        "environment_variables": job.script.environment_variables,
        "environment": {**asdict(job.environment), "requirements": list(specification.requirements)},
        "compute": job.compute.describe(),
        "model": asdict(job.model) if job.model.name else None,
        "deployment": asdict(job.deployment) if job.deployment else None,
        "workspace": job.workspace.root,
    }


def _working_folder() -> str | None:
    """The folder that the command was typed in; None if it has been removed."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None
