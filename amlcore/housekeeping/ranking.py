"""The best runs: those that `aml prune --keep-best` leaves alone."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amlcore.errors import AmlcoreError, NotFoundError
from amlcore.record.record import Record
from amlcore.record.status import RunState
from amlcore.sweep.goal import Goal
from amlcore.worker.metrics import last_values


@dataclass(frozen=True)
class Criterion:
    """What the runs of a group are compared by."""

    metric: str
    goal: Goal


@dataclass(frozen=True)
class Group:
    """The trials of a sweep, or the other runs of an experiment."""

    name: str
    folders: list[Path]
    criterion: Criterion | None  # None: nobody said what is good


def in_order(folder: Path) -> tuple[str, str, list[int]]:
    """The sort key of runs: a trial by its number, since of equal ones the first is the best, as its sweep has it."""
    name, *numbers = folder.name.split("_")
    return folder.parent.name, name, [int(number) if number.isdecimal() else 0 for number in numbers]


def groups(folders: Iterable[Path], *, metric: str | None, goal: Goal | None) -> list[Group]:
    """`folders` by sweep and by experiment; without a `metric`, trials are compared by that of their sweep."""
    members: dict[Path, list[Path]] = {}
    for folder in folders:
        sweep = folder.with_name(folder.name.rpartition("_")[0] or folder.name)
        is_trial = sweep != folder and os.path.exists(sweep / "sweep.json")
        members.setdefault(sweep if is_trial else folder.parent, []).append(folder)
    return [
        Group(holder.name, group, _criterion(holder) if metric is None else Criterion(metric, goal or Goal.maximize))
        for holder, group in members.items()
    ]


def best(group: Group, count: int) -> set[Path]:
    """The `count` best runs of a group; all of them if nobody said what is good, or none logged it."""
    if group.criterion is None:
        return set(group.folders)
    ranked = sorted(_scores(group.folders, group.criterion), key=lambda pair: pair[0], reverse=True)  # equal ones stay
    return {folder for _, folder in ranked[:count]} if ranked else set(group.folders)


def check_metric(members: Iterable[Group], metric: str) -> None:
    """Refuse a metric that no run logged."""
    folders = [folder for group in members for folder in group.folders]
    names = {name for folder in folders for name in _logged(folder)}
    if folders and metric not in names:
        raise NotFoundError(
            f"--metric {metric}: no run logged it; available metrics: {', '.join(sorted(names)) or 'none'}"
        )


def _criterion(sweep: Path) -> Criterion | None:
    """What a sweep compares its trials by: the first of its metrics."""
    try:
        about: dict[str, Any] = Record(sweep).info.sweep or {}
    except AmlcoreError:
        return None
    metrics, goals = about.get("primary_metric"), about.get("goal")
    metric = metrics[0] if isinstance(metrics, list) and metrics else metrics
    goal = goals[0] if isinstance(goals, list) and goals else goals
    return Criterion(metric, Goal(goal)) if isinstance(metric, str) and goal in list(Goal) else None


def _scores(folders: Iterable[Path], criterion: Criterion) -> Iterator[tuple[float, Path]]:
    for folder in folders:
        value = _logged(folder).get(criterion.metric) if _is_completed(folder) else None
        if isinstance(value, (int, float)) and not math.isnan(value):
            yield criterion.goal.sign * value, folder


def _logged(folder: Path) -> dict[str, Any]:
    try:
        return last_values(Record(folder).layout.metrics, "scalar")
    except OSError:
        return {}


def _is_completed(folder: Path) -> bool:
    try:
        return Record(folder).status.state is RunState.Completed
    except AmlcoreError:
        return False
