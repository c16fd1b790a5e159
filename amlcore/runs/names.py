"""The names that people have given runs; see amlcore.runs.marking."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from amlcore.errors import RecordError
from amlcore.record.marks import read_marks
from amlcore.worker.layout import RunLayout


def run_names(folders: Iterable[Path]) -> dict[str, list[Path]]:
    """The runs by their names; a name means several only if workspaces were merged, or a run was copied."""
    names: dict[str, list[Path]] = {}
    for folder in folders:
        if not os.path.exists(RunLayout(folder).marks):
            continue
        try:
            name = read_marks(folder).name
        except RecordError:  # lists report the damage
            continue
        if name is not None:
            names.setdefault(name, []).append(folder)
    return names
