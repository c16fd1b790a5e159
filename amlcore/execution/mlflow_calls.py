"""Where the MLflow calls of a job's script go; the worker sees to it, and the record says so."""

from __future__ import annotations

import os

from amlcore.config.job import Job
from amlcore.environment.lock import blocks
from amlcore.worker.mlflow.activation import URI
from amlcore.worker.mlflow.uris import SCHEME

PACKAGES = frozenset(("mlflow", "mlflow-skinny"))


def mlflow_note(job: Job, lock: str) -> str | None:
    """A line on where MLflow's calls go; None in an environment without MLflow.

    An address may hold a password, so it is not repeated.
    """
    if PACKAGES.isdisjoint(blocks(lock)):
        return None
    variables = {**os.environ, **job.script.environment_variables}
    if (uri := variables.get(URI, "")) and not uri.startswith(f"{SCHEME}:"):
        return f"MLflow's calls go where {URI} says, and not into this run"
    if not job.script.mlflow:
        return "MLflow's calls do not go into this run (script.mlflow=false)"
    return "MLflow's calls go into this run; script.mlflow=false lets them go elsewhere"
