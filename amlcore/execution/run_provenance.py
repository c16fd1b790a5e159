"""The Provenance of a model: what its registration needs to know about the run that wrote it."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from amlcore.config import compose_workspace
from amlcore.environment import build_lock
from amlcore.errors import RecordError, RunError, UnreadableError
from amlcore.model import Provenance
from amlcore.record.reading import read_yaml
from amlcore.record.record import Record
from amlcore.record.status import RunState
from amlcore.snapshot import snapshot
from amlcore.worker.metrics import last_values
from amlcore.worker.references import missing, resolved
from amlcore.workspace import Workspace


def provenance_of(record: Record) -> Provenance:
    """What the registration of a model needs to know about a run that has ended.

    Raises
    ------
    RunError
        The run did not complete, or does not have its own environment.
    """
    run, status = record.folder.name, record.status
    info, environment = record.info, record.environment
    if status.state is not RunState.Completed:
        raise RunError(f"run {run} is {status.state}; only a completed run's model can be registered")
    if (pruned := record.pruned.outputs) is not None:
        raise RunError(
            f"run {run}: {pruned.user} deleted its outputs with `aml prune` on {pruned.at[:10]}; "
            f"write them again with: aml rerun {run}"
        )
    if info.parent is not None and not os.path.exists(record.layout.config):
        return _child_provenance(record, provenance_of(Record(record.folder.with_name(info.parent))))
    if environment is None:
        raise RunError(f"run {run} was not given its own environment, so its model cannot be registered")
    workspace = Workspace.at(record.workspace_path)
    lock = read_lock(record)
    interpreter = Path(environment.python)
    if not os.access(interpreter, os.X_OK):  # removed, or in another user's cache
        cache = compose_workspace(workspace.path).environments_path
        interpreter = build_lock(
            lock,
            python_version=environment.python_version,
            cache=cache,
            log=lambda line: print(line, file=sys.stderr),
        ).python
    source = snapshot.load(record.snapshot_id, store=workspace.snapshots_path)
    python_path = _python_path(record)
    return Provenance(
        run=run,
        experiment=info.experiment,
        folder=record.folder,
        interpreter=interpreter,
        lock=lock,
        objects=source.objects,
        manifest=source.manifest,
        hashes=record.output_hashes,
        metrics=last_values(record.layout.metrics, "scalar"),
        # Python looks for modules next to a script, but for those of a module at the source's root.
        script=Path(str(info.script)).name if info.module else str(info.script),
        python_path=tuple(entry for entry in python_path.split(os.pathsep) if entry and not os.path.isabs(entry)),
        strays=() if record.result is None else tuple(file.path for file in record.result.strays),
    )


def _child_provenance(record: Record, parent: Provenance) -> Provenance:
    """The provenance of a run that the script of another one started: it ran in the same environment and source."""
    return replace(
        parent,
        run=record.folder.name,
        folder=record.folder,
        hashes=record.output_hashes,
        metrics=last_values(record.layout.metrics, "scalar"),
        strays=(),
    )


def read_lock(record: Record) -> str:
    """The locked packages of a run.

    Raises
    ------
    RecordError
        The file is missing, or has changed since the environment was built.
    """
    lock = record.lock
    if lock is None:
        raise RecordError(f"{record.layout.lock} is missing")
    return lock


def _python_path(record: Record) -> str:
    """The PYTHONPATH of a run, from its config if its request belongs to another user."""
    try:
        request = record.request
        variables = {} if request is None else request.environment_variables
    except UnreadableError:
        config = read_yaml(record.layout.config, dict) or {}
        variables = config["script"]["environment_variables"]
    python_path = str(variables.get("PYTHONPATH", ""))
    if unset := missing(python_path):
        raise RunError(
            f"run {record.folder.name} was given PYTHONPATH={python_path}, and {unset[0]} is not set here: "
            "set it to the same value"
        )
    return resolved(python_path)
