"""A rerun: the job of an earlier run, and what it pins for its repetition."""

from __future__ import annotations

from pathlib import Path

from amlcore.config import Job
from amlcore.environment import PythonRequest
from amlcore.errors import RecordError, RequestError
from amlcore.execution.publication import check_model
from amlcore.execution.run_provenance import read_lock
from amlcore.execution.source_state import PinnedInputs
from amlcore.record.documents import InputInfo
from amlcore.record.reading import unreadable_error
from amlcore.record.record import Record
from amlcore.runs.run import Run
from amlcore.snapshot import snapshot


def load_job(record: Record) -> Job:
    """The job that a run was submitted with, in the workspace that contains its record now.

    Raises
    ------
    RecordError
        Its file is damaged.
    """
    try:
        job = Job.from_yaml(Path(record.layout.config).read_text(encoding="utf-8"))
        return job.moved(record.workspace_path)
    except OSError as error:
        raise unreadable_error(record.layout.config, error) from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        first_line = str(error).partition("\n")[0]
        raise RecordError(f"{record.layout.config} is damaged: {first_line}") from None


def pinned_inputs(run: Run) -> tuple[Job, PinnedInputs]:
    """The job of an earlier run, checked again, and what its repetition takes from it.

    Raises
    ------
    RequestError
        The run cannot be repeated, or its inputs have changed.
    """
    record = run.record
    if not Path(record.layout.config).exists():
        raise RequestError(f"run {run.id} was not submitted through amlcore, so it cannot be repeated")
    if Path(record.layout.sweep).exists():
        raise RequestError(f"run {run.id} is a sweep; `aml rerun {run.id}_0` repeats one of its trials")
    environment = record.environment
    if environment is None or not Path(record.layout.lock).exists():
        raise RequestError(
            f"run {run.id} ended before its environment was built ({run.status.reason}); submit it again"
        )
    job, info = load_job(record), run.info
    version = environment.python_version
    python = PythonRequest.version(version, text=f"Python {version}", where=f"the environment of run {run.id}")
    check_model(job, python=python)
    _check_inputs(job, info.inputs, run=run.id)
    return job, PinnedInputs(
        run=run.id,
        snapshot=snapshot.load(record.snapshot_id, store=job.workspace.snapshots_path),
        lock=read_lock(record),
        environment=environment.document,
        git=info.git,
    )


def _check_inputs(job: Job, inputs: dict[str, InputInfo], *, run: str) -> None:
    """Check that each input still has the content that the earlier run read."""
    for name, earlier in inputs.items():
        value = job.script.inputs[name]
        if not Path(value.path).exists():
            raise RequestError(f"script.inputs.{name}={value.path}: no such file or folder")
        if value.digest()[0] != earlier.sha256:
            raise RequestError(
                f"script.inputs.{name}={value.path} has changed since run {run}: its sha256 was {earlier.sha256}"
            )
