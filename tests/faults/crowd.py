"""A crowd of processes submits, registers, tags, names, lists, prunes, removes and restores runs at the same time.

Nothing that is used may be gone, no list may show half a thing, and no mark may be lost. By itself, as
`python -m tests.faults.crowd --processes 32 --seconds 120`, it is as large and takes as long as it is told.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from amlcore.config import compose
from amlcore.errors import RequestError
from amlcore.execution.submission import submit
from amlcore.record.marks import read_marks
from amlcore.record.record import Record
from amlcore.record.status import RunState
from amlcore.record.usage_lock import in_use
from amlcore.snapshot import snapshot
from amlcore.workspace import Workspace
from tests.faults import Outcome
from tests.support.called import called
from tests.support.laid_runs import lay_model, lay_sweep

PROCESSES = 8
SECONDS = 5.0
SWEEPS, TRIALS = 6, 4


def attempt(seed: int, folder: Path, *, processes: int = PROCESSES, seconds: float = SECONDS) -> Outcome:
    root = folder / "project"
    (root / ".amlcore").mkdir(parents=True)
    (root / ".amlcore/config.json").write_text('{"workspace_name": "crowd"}')
    os.environ["BENTOML_HOME"] = str(folder / "bentoml")
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    for number in range(SWEEPS):
        lay_sweep(root, number, trials=TRIALS)
    until = time.monotonic() + seconds
    members = [
        _fork(Member(root, folder / f"log-{number}.jsonl", seed * 1000 + number), until) for number in range(processes)
    ]
    for pid in members:
        os.waitpid(pid, 0)
    events = [json.loads(line) for path in folder.glob("log-*.jsonl") for line in path.read_text().splitlines()]
    called(root, "prune", "--what", "trash", "--older", "999d")  # whoever was in the middle of something has ended
    return _judge(root, events)


def _fork(member: Member, until: float) -> int:
    pid = os.fork()
    if not pid:
        try:
            while time.monotonic() < until:
                member.act()
        finally:
            os._exit(0)
    return pid


class Member:
    """One process of the crowd."""

    def __init__(self, root: Path, log: Path, seed: int) -> None:
        self._root = root
        self._log = log
        self._chance = random.Random(seed)
        self._workspace = Workspace(root=str(root))
        self._number = 0
        self._seed = seed

    def act(self) -> None:
        actions: dict[Callable[[], None], int] = {
            self.submit: 4,
            self.register: 1,
            self.tag: 3,
            self.name: 1,
            self.list: 4,
            self.find: 2,
            self.remove: 3,
            self.restore: 2,
            self.prune_snapshots: 2,
            self.prune_files: 1,
            self.archive: 1,
        }
        action = self._chance.choices([*actions], [*actions.values()])[0]
        self._number += 1
        try:
            action()
            self._note("did", action=action.__name__)
        except Exception:  # each is a failure that is told at the end
            self._note("failed", action=action.__name__, error=traceback.format_exc())

    def submit(self) -> None:
        """A new run of a source of its own; it has ended at once."""
        source = self._root / f"source-{self._seed}"
        source.mkdir(exist_ok=True)
        (source / "train.py").write_text(f"print({self._chance.randrange(3)})")
        words = [f"script.source_directory={source}", "script.script=train.py", "environment=current"]
        record = submit(compose([*words, "experiment_name=crowd"], root=self._root), overrides=[])
        assert not (problem := _snapshot_problem(self._root, record.snapshot_id)), problem
        record.enter(RunState.Completed)
        record.release()
        self._note("submitted", run=record.folder.name)

    def register(self) -> None:
        """A model of a run, as `aml register` writes one."""
        run = self._any_run()
        with in_use(self._root):
            if run is not None and Record(run).is_present:
                lay_model(self._root, run, version=self._seed * 10_000 + self._number)
                self._note("registered", run=run.name)

    def tag(self) -> None:
        if (run := self._any_run()) is not None:
            key = f"{self._seed}-{self._number}"
            if self._aml("tag", run.name, f"{key}=yes"):
                self._note("tagged", run=run.name, key=key)

    def name(self) -> None:
        if (run := self._any_run()) is not None:
            self._aml("name", run.name, f"name-{self._chance.randrange(5)}")

    def list(self) -> None:
        rows = called(self._root, "runs", "--json", "--all", "--children", "--archived").json
        _check_rows(rows)

    def find(self) -> None:
        """The index in the user's cache shows no half things either."""
        where = "kind = sweep or kind = trial or tags.colour = blue"
        said = called(self._root, "runs", where, "--json", "--all", "--children", "--archived", status=None)
        if said.status == 0:
            _check_rows([row for row in said.json if row["experiment"] == "e"])

    def remove(self) -> None:
        if (run := self._any_run()) is not None:
            is_for_good = self._chance.random() < 0.2
            if self._aml("rm", run.name.partition("_")[0], *(["--now"] if is_for_good else [])):
                self._note("removed for good" if is_for_good else "removed", run=run.name.partition("_")[0])

    def restore(self) -> None:
        self._aml("rm", "--undo")

    def prune_snapshots(self) -> None:
        called(self._root, "prune", "--what", "snapshots")

    def prune_files(self) -> None:
        if (run := self._any_run()) is not None:
            self._aml("prune", run.name, "--what", "outputs,checkpoints")

    def archive(self) -> None:
        if (run := self._any_run()) is not None:
            self._aml("archive", run.name, *(["--undo"] if self._chance.random() < 0.5 else []))

    def _any_run(self) -> Path | None:
        folders = sorted(self._workspace.run_folders)
        return self._chance.choice(folders) if folders else None

    def _aml(self, *words: str) -> bool:
        """Whether a verb did what it was asked to; what is in use or gone meanwhile is refused in words."""
        said = called(self._root, *words, status=None)
        if said.status not in (0, 2) or "Traceback" in said.err:
            raise AssertionError(f"aml {' '.join(words)}: {said}")
        return said.status == 0

    def _note(self, event: str, **facts: Any) -> None:
        with self._log.open("a") as stream:
            stream.write(json.dumps({"event": event, **facts}) + "\n")


def _check_rows(rows: list[dict[str, Any]]) -> None:
    """A list shows sweeps with all of their trials or not at all, and each run whole."""
    ids = [row["id"] for row in rows]
    assert len(set(ids)) == len(ids), f"listed twice: {sorted(ids)}"
    trials = Counter(row["parent"] for row in rows if row["parent"] is not None)
    sweeps = {row["id"] for row in rows if row["experiment"] == "e" and row["parent"] is None}
    halves = {sweep: trials[sweep] for sweep in sweeps | set(trials) if trials[sweep] != TRIALS or sweep not in sweeps}
    assert not halves, f"sweeps that are listed in part, with so many trials: {halves}"
    for row in rows:
        assert row["state"] != "Damaged", f"{row['id']} is listed as damaged: {row['reason']}"
        if row["experiment"] == "e":
            assert row["tags"].get("colour") == "blue", f"{row['id']} is listed without what it logged"
            assert row["state"] == "Completed", f"{row['id']} is listed as {row['state']}"


def _snapshot_problem(root: Path, identifier: str) -> str:
    """What is wrong with a snapshot; "" if it is whole."""
    try:
        taken = snapshot.load(identifier, store=root / ".amlcore/snapshots")
        paths = [taken.objects / file.sha256[:2] / file.sha256 for file in snapshot.stored_files(taken.manifest)]
    except (RequestError, OSError) as error:
        return str(error)
    return ", ".join(f"{path} is missing" for path in paths if not path.exists())


def _judge(root: Path, events: list[dict[str, Any]]) -> Outcome:
    outcome = Outcome()
    outcome.harmed += [f"{event['action']}: {event['error']}" for event in events if event["event"] == "failed"]
    folders = {folder.name: folder for folder in Workspace(root=str(root)).run_folders}
    removed = {path.name: path for path in root.glob(".amlcore/trash/*/*/*") if (path / "run.json").exists()}
    deleted = {event["run"] for event in events if event["event"] == "removed for good"}
    for event in events:
        run = event.get("run")
        if event["event"] in ("submitted", "registered") and run not in {*folders, *removed, *deleted}:
            outcome.lost.append(f"run {run} is gone, and nobody removed it")
        if event["event"] == "registered" and run not in folders:
            outcome.lost.append(f"run {run}, of which there is a model, was removed")
        folder = folders.get(run) or removed.get(run)
        if event["event"] == "tagged" and folder is not None and event["key"] not in read_marks(folder).tags:
            outcome.lost.append(f"tag {event['key']} of run {run}")
    for folder in (*folders.values(), *removed.values()):
        taken = Record(folder).info.snapshot
        if taken is not None and (problem := _snapshot_problem(root, taken.id)):
            outcome.lost.append(f"run {folder.name}: {problem}")
    names = Counter(read_marks(folder).name for folder in folders.values())
    outcome.harmed += [f"{count} runs are called {name}" for name, count in names.items() if name and count > 1]
    remains = [str(path) for place in ("moving", "pruning") for path in root.glob(f".amlcore/trash/{place}/*")]
    outcome.harmed += [f"{path} remained" for path in remains]
    return outcome


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.crowd")
    parser.add_argument("--processes", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="crowd-"))
    outcome = attempt(options.seed, folder, processes=options.processes, seconds=options.seconds)
    done = Counter(
        event["action"]
        for path in folder.glob("log-*.jsonl")
        for event in map(json.loads, path.read_text().splitlines())
        if event["event"] == "did"
    )
    print(
        f"{folder}: {sum(done.values())} actions: {', '.join(f'{count} {name}' for name, count in done.most_common())}"
    )
    print(*(f"lost: {words}" for words in outcome.lost), *(f"harmed: {words}" for words in outcome.harmed), sep="\n")
    return int(not outcome.good)


if __name__ == "__main__":
    sys.exit(main())
