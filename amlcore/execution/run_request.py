"""The RunRequest of a job: the plain values that a worker needs, and the kind of worker."""

from __future__ import annotations

from functools import lru_cache

from amlcore.compute.request import RunRequest, WorkerKind
from amlcore.config.job import Job
from amlcore.environment import BuiltEnvironment
from amlcore.record.record import Record
from amlcore.worker.layout import SnapshotLayout
from amlcore.worker.process import top_imports


def run_request(job: Job, record: Record, built: BuiltEnvironment) -> tuple[RunRequest, WorkerKind]:
    """The request for `job`, and the worker kind it needs."""
    info = record.info
    store = SnapshotLayout(job.workspace.snapshots_path)
    script = job.script
    file = script.file
    assert file is not None
    kind = WorkerKind(
        interpreter=str(built.python),
        environment_variables=script.environment_variables,
        cores=job.compute.cores,
        preload=_preload(script.source_directory, file, script.executed) if job.compute.warm else (),
    )
    request = RunRequest(
        run=record.folder.name,
        folder=str(record.folder),
        objects=store.objects,
        manifest=store.manifest(record.snapshot_id),
        script=file,
        module=script.module,
        argv=script.command_line() if info.arguments is None else info.arguments,
        environment_variables=script.environment_variables,
        inputs={name: {"path": value.path, "mode": value.mode} for name, value in script.inputs.items()},
        timeout_s=job.compute.timeout_s,
        mem_bytes=job.compute.mem_bytes,
        kill_wait_s=job.compute.kill_wait_s,
        resumable=job.compute.resumable,
        mlflow=script.mlflow,
    )
    return request, kind


@lru_cache
def _preload(folder: str, script: str, module: str | None) -> tuple[str, ...]:
    # Cached: all trials of a sweep run the source as it was at submission.
    return tuple(top_imports.certain_imports(folder, script, module))
