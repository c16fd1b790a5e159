"""Records of runs that never ran, for what looks at many of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

CREATED = "2026-01-01T00:00:00+00:00"


def lay(
    root: Path,
    number: int,
    *,
    suffix: str = "",
    state: str = "Completed",
    experiment: str = "e",
    ended: datetime | None = None,
    metrics: Mapping[str, float] | None = None,
    files: Mapping[str, str] | None = None,
    snapshot: str | None = None,
    sweep: Mapping[str, Any] | None = None,
    **facts: Any,
) -> Path:
    """The record of a run, whose script logged a tag; with `suffix`, such as _0, of a child.

    Parameters
    ----------
    files : dict
        More files of the run, such as outputs/x.txt, and their contents.
    sweep : dict
        What run.json says of the sweep that this is.
    """
    identifier = f"20260101-{number:06d}-00000a{suffix}"
    folder = root / "outputs" / experiment / identifier
    (folder / "metrics").mkdir(parents=True)
    info = {
        "id": identifier,
        "experiment": experiment,
        "parent": identifier.rpartition("_")[0] or None,
        "user": "anna",
        "created": CREATED,
        "snapshot": snapshot and {"id": snapshot},
        "sweep": sweep,
        **facts,
    }
    (folder / "run.json").write_text(json.dumps(info))
    at = (ended or datetime.now(UTC)).timestamp()
    (folder / "state.json").write_text(json.dumps({"state": state, "at": at, "exit_status": 0}))
    logged = [("tag", "colour", "blue"), *(("scalar", *item) for item in (metrics or {}).items())]
    lines = (json.dumps({"kind": kind, "name": name, "value": value, "at": 1.0}) for kind, name, value in logged)
    (folder / "metrics/a.jsonl").write_text("".join(f"{line}\n" for line in lines))
    if sweep is not None:
        (folder / "sweep.json").write_text("{}")
    for path, content in (files or {}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    return folder


def lay_sweep(
    root: Path,
    number: int,
    *,
    trials: int,
    metric: str = "score",
    score: float | None = None,
    experiment: str = "e",
    **facts: Any,
) -> Path:
    """The record of a sweep and its trials, each with `score` or its number, an output and a checkpoint."""
    sweep = lay(root, number, sweep={"primary_metric": metric, "goal": "maximize"}, experiment=experiment, **facts)
    for trial in range(trials):
        files = {"outputs/model.txt": f"model {trial}" * 1000, "checkpoints/last.txt": f"checkpoint {trial}" * 1000}
        facts = {
            "experiment": experiment,
            "metrics": {metric: float(trial) if score is None else score},
            "trial": trial,
        }
        lay(root, number, suffix=f"_{trial}", files=files, **facts)
    return sweep


def lay_model(root: Path, run: Path, *, version: int = 1) -> Path:
    """The record of a model of a run, as far as the registry reads it."""
    facts: dict[str, Any] = {
        **dict.fromkeys(("framework", "python", "class", "last_step", "description", "experiment", "path"), ""),
        **{key: [] for key in ("trusted_types", "files", "code", "methods", "warnings")},
        **{key: {} for key in ("code_sha256", "metrics", "tags", "properties", "signature")},
        **dict.fromkeys(("framework_version", "trained_with", "resource_configuration", "classes", "sample")),
        **{"name": "wine", "version": version, "run": run.name, "sha256": "0" * 64},
        "created": "2026-01-01T00:00:00+00:00",
    }
    folder = root / "models/wine" / str(version)
    folder.mkdir(parents=True)
    (folder / "new").write_text(json.dumps(facts))
    (folder / "new").rename(folder / "model.json")
    return folder


def tree(folder: Path) -> dict[str, str]:
    """The texts of all files in a folder, by their paths in it."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
