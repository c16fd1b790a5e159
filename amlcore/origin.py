"""The Origin of a model: what its registration has to know of the run that wrote it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from amlcore.environment import build_lock
from amlcore.errors import RunError
from amlcore.model import Origin
from amlcore.record import Record, RunState
from amlcore.worker.layout import read_json
from amlcore.worker.metrics import last_values
from amlcore.workspace import Workspace


def origin_of(record: Record) -> Origin:
    """What the registration of a model needs to know of a run that has ended.

    Raises
    ------
    RunError
        The run did not complete, or has no environment of its own.
    """
    run, status = record.folder.name, record.status
    facts, environment = record.facts, read_json(record.layout.environment)
    if status.state is not RunState.Completed:
        raise RunError(f"run {run} is {status.state}; a model is registered from a completed run")
    if environment is None or not Path(record.layout.lock).exists():
        raise RunError(f"run {run} has no environment of its own, so no model can be registered from it")
    workspace = Workspace.at(record.folder.parent.parent.parent)
    lock = Path(record.layout.lock).read_text(encoding="utf-8")
    interpreter = Path(environment["python"])
    if not os.access(interpreter, os.X_OK):  # removed, or in the cache of another user
        cache = workspace.composed().environments_path
        interpreter = build_lock(
            lock,
            python_version=environment["python_version"],
            cache=cache,
            log=lambda line: print(line, file=sys.stderr),
        ).python
    store = workspace.state_path / "snapshots"
    request = read_json(record.layout.request) or {}
    given = str(request.get("environment_variables", {}).get("PYTHONPATH", ""))
    return Origin(
        run=run,
        experiment=str(facts["experiment"]),
        folder=record.folder,
        interpreter=interpreter,
        lock=lock,
        objects=store / "objects",
        manifest=store / "manifests" / f"{facts['snapshot']['id']}.json",
        metrics=last_values(record.layout.metrics, "scalar"),
        script=facts["script"],
        python_path=tuple(entry for entry in given.split(os.pathsep) if entry and not os.path.isabs(entry)),
        strays=tuple(stray["path"] for stray in (record.result or {}).get("strays", [])),
    )
