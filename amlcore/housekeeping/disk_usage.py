"""Disk usage: what the runs of a workspace, and all that it keeps besides, take on the disk."""

from __future__ import annotations

from collections import Counter as Sums
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amlcore.housekeeping.sizes import Counter, entries
from amlcore.workspace import Workspace

RUN_KINDS = ("outputs", "checkpoints", "logs", "attempts", "metrics", "images")
"""The folders of a run that count by themselves; everything else is its record."""

RECORD = "record"


@dataclass
class RunUsage:
    """What one run takes, in bytes, by kind."""

    id: str
    experiment: str
    kinds: dict[str, int]

    @property
    def size_bytes(self) -> int:
        return sum(self.kinds.values())

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "experiment": self.experiment, "size_bytes": self.size_bytes, "kinds": self.kinds}


@dataclass
class DiskUsage:
    """What a workspace takes, in bytes: its runs, and the other kinds of what it keeps."""

    runs: list[RunUsage] = field(default_factory=list)
    others: dict[str, int] = field(default_factory=dict)

    @property
    def kinds(self) -> dict[str, int]:
        sums: Sums[str] = Sums()
        for run in self.runs:
            sums.update(run.kinds)
        return {kind: sums[kind] for kind in (*RUN_KINDS, RECORD)} | self.others

    @property
    def experiments(self) -> list[dict[str, Any]]:
        """The experiments, the largest first."""
        by_name: dict[str, list[RunUsage]] = {}
        for run in self.runs:
            by_name.setdefault(run.experiment, []).append(run)
        rows = [
            {"experiment": name, "runs": len(runs), "size_bytes": sum(run.size_bytes for run in runs)}
            for name, runs in by_name.items()
        ]
        return sorted(rows, key=lambda row: row["size_bytes"], reverse=True)

    def to_json(self) -> dict[str, Any]:
        kinds = self.kinds
        runs = sorted(self.runs, key=lambda run: run.size_bytes, reverse=True)
        return {
            "size_bytes": sum(kinds.values()),
            "kinds": kinds,
            "experiments": self.experiments,
            "runs": [run.to_json() for run in runs],
        }


def measure(workspace: Workspace) -> DiskUsage:
    """Measure everything in the workspace, and the environments in its cache; each file counts once."""
    counter, usage = Counter(), DiskUsage()
    for folder in sorted(workspace.run_folders):
        usage.runs.append(RunUsage(folder.name, folder.parent.name, run_kinds(folder, counter)))
    state = workspace.state_path
    usage.others = {
        "models": counter.size_bytes(workspace.models_path),
        "snapshots": counter.size_bytes(workspace.snapshots_path),
        "environments": counter.size_bytes(workspace.environments_path),
        "trash": counter.size_bytes(workspace.trash_path),
    }
    apart = {workspace.snapshots_path, workspace.environments_path, workspace.trash_path}
    rest = [Path(entry.path) for entry in entries(state)]
    usage.others["other"] = sum(counter.size_bytes(path) for path in rest if path not in apart)
    return usage


def run_kinds(folder: Path, counter: Counter) -> dict[str, int]:
    """What a run takes, in bytes, by kind."""
    kinds = dict.fromkeys((*RUN_KINDS, RECORD), 0)
    kinds[RECORD] = counter.own_size_bytes(folder)
    for entry in entries(folder):
        kinds[entry.name if entry.name in RUN_KINDS else RECORD] += counter.size_bytes(entry.path)
    return kinds
