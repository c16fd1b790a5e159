"""Housekeeping is killed at any moment: what it removes, restores, prunes or marks is whole, or as it was."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from amlcore.snapshot import snapshot
from amlcore.snapshot.snapshot import SnapshotLimits
from amlcore.workspace import Workspace
from tests.faults import Outcome
from tests.support.called import called
from tests.support.killed import killed, operations
from tests.support.laid_runs import lay, lay_sweep

PARTS = ("outputs", "checkpoints")
FILES = {"outputs/model.txt": "model", "checkpoints/last.txt": "checkpoint"}
SWEEP, FIRST, SECOND = (f"20260101-{number:06d}-00000a" for number in (1, 2, 3))

State = dict[str, dict[str, str]]
"""What everybody sees: the files of each run, by its id."""


@dataclass(frozen=True)
class Case:
    """A verb that is killed, and what was done before."""

    words: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    is_one: bool = True  # all its runs change at one moment; otherwise each does


CASES = (
    Case(("rm", SWEEP)),
    Case(("rm", SWEEP, FIRST)),
    Case(("rm", "--now", SWEEP)),
    Case(("rm", "--undo"), before=(("rm", SWEEP, FIRST),)),
    Case(("archive", SWEEP, FIRST), is_one=False),
    Case(("archive", "--undo", FIRST), before=(("archive", FIRST),)),
    Case(("prune", "--what", ",".join(PARTS), FIRST, SECOND), is_one=False),
    Case(("prune", "--what", ",".join(PARTS), "--keep-best", "1"), is_one=False),
    Case(("prune", "--older", "0d"), before=(("rm", SWEEP),)),
    Case(("tag", FIRST, "good=yes")),
    Case(("name", FIRST, "best")),
)


def attempt(seed: int, folder: Path) -> Outcome:
    chance, outcome = random.Random(seed), Outcome()
    case = chance.choice(CASES)
    os.environ["BENTOML_HOME"] = str(folder / "bentoml")
    os.environ["AMLCORE_ENVIRONMENTS"] = str(folder / "environments")
    root = lay_workspace(folder / "project")
    for words in case.before:
        called(root, *words)
    model = folder / "unharmed"
    shutil.copytree(root, model, symlinks=True)
    before = state(root)
    count = operations(lambda: called(model, *case.words))
    after = state(model)
    at = chance.randint(1, count)
    killed(lambda: called(root, *case.words), at=at)
    where = f"aml {' '.join(case.words)} was killed at {at} of {count}"
    left = state(root)
    if not _is_consistent(left, before, after, is_one=case.is_one):
        outcome.harmed.append(
            f"{where}, and neither all nor nothing of it was done: {_difference(left, before, after)}"
        )
    outcome.lost += _lost_snapshots(root, where)
    called(root, *case.words, status=None)  # somebody calls it again; there may be nothing left to do
    if (again := state(root)) != after:
        outcome.harmed.append(f"{where}, and it does not go on: {_difference(again, before, after)}")
    is_undone = called(root, "rm", "--undo", status=None).status == 0
    if is_undone and state(root) != before:
        outcome.harmed.append(f"{where}, and it cannot be undone: {_difference(state(root), before, after)}")
    called(root, "prune", "--what", "trash", "--older", "0d")
    if remains := _remains(root):
        outcome.harmed.append(f"{where}, and {', '.join(remains)} remained")
    outcome.lost += _lost_snapshots(root, where)
    return outcome


def lay_workspace(root: Path) -> Path:
    """A sweep with its trials, two runs, and three snapshots of which they need two."""
    (root / ".amlcore").mkdir(parents=True)
    (root / ".amlcore/config.json").write_text('{"workspace_name": "faults"}')
    snapshots = []
    for text in ("one", "two", "of no use"):
        (root / "source").mkdir(exist_ok=True)
        (root / "source/train.py").write_text(text)
        limits = SnapshotLimits()
        snapshots.append(snapshot.take(root / "source", store=root / ".amlcore/snapshots", limits=limits).id)
    lay_sweep(root, 1, trials=3, snapshot=snapshots[0])
    for number in (2, 3):
        lay(root, number, files=FILES, snapshot=snapshots[1])
    return root


def state(root: Path) -> State:
    """The runs as lists show them; of a run whose record says that a part was pruned, without that part."""
    rows = called(root, "runs", "--json", "--all", "--children", "--archived").json
    damaged = [row["reason"] for row in rows if row["state"] == "Damaged"]
    assert not damaged, damaged
    folders = list(Workspace(root=str(root)).run_folders)
    assert sorted(row["id"] for row in rows) == sorted(folder.name for folder in folders)
    return {folder.name: _visible(folder) for folder in folders}


def _visible(folder: Path) -> dict[str, str]:
    marker = folder / "pruned.json"
    pruned = tuple(json.loads(marker.read_text())) if marker.exists() else ()
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    texts = {
        name: path.read_text()
        for name, path in files.items()
        if name.partition("/")[0] not in pruned and path != marker and not name.endswith(".tmp")
    }
    return {**texts, "pruned": " ".join(sorted(pruned))}


def _is_consistent(left: State, before: State, after: State, *, is_one: bool) -> bool:
    if is_one:
        return left in (before, after)
    return left.keys() == before.keys() and all(left[run] in (before[run], after[run]) for run in left)


def _difference(left: State, before: State, after: State) -> str:
    runs = sorted(before.keys() | after.keys() | left.keys())
    words: Mapping[str, str] = {
        run: "as before" if left.get(run) == before.get(run) else "done" if left.get(run) == after.get(run) else "half"
        for run in runs
    }
    return ", ".join(f"{run} {word}" for run, word in words.items())


def _lost_snapshots(root: Path, where: str) -> list[str]:
    """The snapshots of runs, in the trash too, that are not whole."""
    store, lost = root / ".amlcore/snapshots", []
    records = [*root.glob("outputs/e/*/run.json"), *root.glob(".amlcore/trash/*/e/*/run.json")]
    for identifier in {json.loads(path.read_text())["snapshot"]["id"] for path in records if _has_snapshot(path)}:
        try:
            manifest = snapshot.load(identifier, store=store).manifest
            objects = [store / "objects" / file.sha256[:2] / file.sha256 for file in snapshot.stored_files(manifest)]
            lost += [f"{where}: {path}" for path in objects if not path.exists()]
        except Exception as error:  # whatever it is, the run cannot be repeated
            lost.append(f"{where}: snapshot {identifier}: {error}")
    return lost


def _has_snapshot(path: Path) -> bool:
    return bool(json.loads(path.read_text()).get("snapshot"))


def _remains(root: Path) -> list[str]:
    trash = root / ".amlcore/trash"
    return [str(path.relative_to(trash)) for path in trash.rglob("*") if path.is_file()]
