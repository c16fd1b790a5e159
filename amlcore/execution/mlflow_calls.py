"""Where the MLflow calls of a job's script go; the worker sees to it, and the record says so."""

from __future__ import annotations

import os

from amlcore.config.job import Job
from amlcore.environment.lock import blocks
from amlcore.worker.mlflow.activation import OLDEST, PACKAGES, URI, parsed_version
from amlcore.worker.mlflow.uris import SCHEME


def mlflow_note(job: Job, lock: str) -> str | None:
    """A line on where MLflow's calls go; None in an environment without MLflow.

    An address may hold a password, so it is not repeated.
    """
    locked = blocks(lock)
    block = next((locked[name] for name in PACKAGES if name in locked), None)
    if block is None:
        return None
    variables = {**os.environ, **job.script.environment_variables}
    if (uri := variables.get(URI, "")) and not uri.startswith(f"{SCHEME}:"):
        return f"MLflow's calls go where {URI} says, and not into this run"
    if not job.script.mlflow:
        return "MLflow's calls do not go into this run (script.mlflow=false)"
    version = parsed_version(block.partition("==")[2])
    if version and version < OLDEST:
        return f"MLflow's calls do not go into this run: that needs MLflow {'.'.join(map(str, OLDEST))} or newer"
    return "MLflow's calls go into this run; script.mlflow=false lets them go elsewhere"
