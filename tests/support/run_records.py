"""Records of runs that never ran, written as amlcore's own writers leave them: a thousand of them take a second."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_SETTLED = 1_600_000_000.0  # long ago, so that no clock tick can hide a later change


def write_run(
    root: Path,
    number: int,
    *,
    experiment: str = "e",
    name: str | None = None,
    parent: str | None = None,
    state: str = "Completed",
    reason: str | None = None,
    created: datetime | None = None,
    duration_s: float = 2.0,
    parameters: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    model: str | None = None,
    user: str = "anna",
    host: str = "node1",
    script: str = "train.py",
    sweep: bool = False,
    trial: int | None = None,
) -> Path:
    """Write the record of one run.

    Parameters
    ----------
    number : int
        Tells the run's id, and when it was created: so many seconds after the first of January 2026.

    Returns
    -------
    path
        The run's folder.
    """
    moment = created or BEGIN + timedelta(seconds=number)
    identifier = name or f"{moment:%Y%m%d-%H%M%S}-{number & 0xFFFFFF:06x}"
    folder = root / "outputs" / experiment / identifier
    (folder / "attempts/1").mkdir(parents=True)
    begun = moment.timestamp()
    ended = begun + duration_s
    _write(
        folder / "run.json",
        {
            "id": identifier,
            "experiment": experiment,
            "parent": parent,
            "created": moment.isoformat(timespec="microseconds"),
            "script": script,
            "module": None,
            "source_directory": str(root),
            "working_folder": str(root),
            "parameters": dict(parameters or {}),
            "arguments": [],
            "overrides": [],
            "environment": "current",
            "compute": "local",
            "snapshot": {"id": "0" * 64, "files": 1, "size_bytes": 106},
            "inputs": {},
            "git": None,
            "versions": {"amlcore": "0.1.0", "python": "3.11.7"},
            "host": host,
            "user": user,
            "rerun_of": None,
            **({} if trial is None else {"trial": trial}),
        },
    )
    times = {"NotStarted": begun, "Running": begun} | ({"Finalizing": ended} if state != "Running" else {})
    _write(
        folder / "state.json",
        {
            "state": state,
            "reason": reason,
            "at": ended,
            "exit_status": 0 if state == "Completed" else 1,
            "times": times,
            "usage": {"cpu_s": 1.0, "max_rss_bytes": 1e7},
        },
    )
    process = {"host": host, "boot": "x", "pid": 4000000 + number, "started": 1}
    _write(folder / "attempts/1/claim.json", {"worker": process, "script": process, "at": begun})
    _write(
        folder / "attempts/1/result.json",
        {"reason": None, "message": None, "signal": None, "exit_status": 0, "ended": ended},
    )
    _write(folder / "request.json", {"environment_variables": {}, "inputs": {}, "script": script})
    _write(folder / "environment.json", {"python": "/usr/bin/python3", "python_version": "3.11.7"})
    _write(folder / "outputs.json", [])
    (folder / "config.yaml").write_text("experiment_name: null\n")
    (folder / "overrides.yaml").write_text("[]\n")
    if sweep:
        _write(folder / "sweep.json", {"sampler": "random"})
    if model is not None:
        (folder / "models.jsonl").write_text(json.dumps({"model": model, "at": moment.isoformat()}) + "\n")
    values = [("scalar", *item) for item in (metrics or {}).items()] + [("tag", *item) for item in (tags or {}).items()]
    if values:
        log_values(folder, values, at=ended)
    settle(folder)
    return folder


def log_values(folder: Path, values: list[tuple[str, str, Any]], *, at: float, file: str = "node1-1-1.jsonl") -> None:
    """Append values, each a kind, a name and what was logged, as a process of the script would."""
    (folder / "metrics").mkdir(exist_ok=True)
    lines = (
        json.dumps({"kind": kind, "name": name, "value": value, "step": None, "at": at}) for kind, name, value in values
    )
    with open(folder / "metrics" / file, "a") as stream:
        stream.writelines(f"{line}\n" for line in lines)


def settle(folder: Path) -> None:
    """Date everything in the run's folder back, as if it had been written long ago."""
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (_SETTLED, _SETTLED))


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")
