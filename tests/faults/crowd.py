"""A crowd of processes runs, marks, finds, prunes, removes and restores runs, and registers, aliases, promotes and
removes models, all at the same time.

Nothing that is used may be gone, no list may show half a thing, no mark may be lost, and the versions and aliases of
a model must have one order. By itself, as `python -m tests.faults.crowd --processes 32 --seconds 120`, it is as large
and takes as long as it is told.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amlcore.model.aliases import log_entries
from amlcore.model.folders import versions
from amlcore.model.model import Model
from amlcore.record.marks import read_marks
from amlcore.record.record import Record
from amlcore.record.status import RunState
from amlcore.workspace import Workspace
from tests.faults import Outcome
from tests.faults.alias import disorder
from tests.faults.crowd_member import MODEL, TRIALS, Member, snapshot_problem
from tests.support.called import called
from tests.support.laid_runs import lay_sweep

PROCESSES = 8
SECONDS = 5.0
SWEEPS = 6

Event = dict[str, Any]


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


def _judge(root: Path, events: list[Event]) -> Outcome:
    outcome = Outcome()
    outcome.harmed += [f"{event['action']}: {event['error']}" for event in events if event["event"] == "failed"]
    folders = {folder.name: folder for folder in Workspace(root=str(root)).run_folders}
    removed = {path.name: path for path in root.glob(".amlcore/trash/*/*/*") if (path / "run.json").exists()}
    outcome.lost += _lost_runs(root, events, folders, removed)
    outcome.lost += _lost_models(events, root / "models" / MODEL, set(folders))
    outcome.harmed += disorder(log_entries(root / "models" / MODEL), root / "models" / MODEL)
    names = Counter(read_marks(folder).name for folder in folders.values())
    outcome.harmed += [f"{count} runs are called {name}" for name, count in names.items() if name and count > 1]
    remains = [str(path) for place in ("moving", "pruning") for path in root.glob(f".amlcore/trash/{place}/*")]
    outcome.harmed += [f"{path} remained" for path in remains]
    return outcome


def _lost_runs(root: Path, events: list[Event], folders: dict[str, Path], removed: dict[str, Path]) -> Iterator[str]:
    deleted = {event["run"] for event in _all(events, "removed for good")}
    for event in _all(events, "submitted", "registered", "ran"):
        if event["run"] not in {*folders, *removed, *deleted}:
            yield f"run {event['run']} is gone, and nobody removed it"
    kept = {**removed, **folders}
    for event in _all(events, "tagged"):
        folder = kept.get(event["run"])
        if folder is not None and event["key"] not in read_marks(folder).tags:
            yield f"tag {event['key']} of run {event['run']}"
    for event in _all(events, "ran"):
        folder = kept.get(event["run"])
        if folder is not None and not _is_whole(Record(folder)):
            yield f"run {event['run']} had completed, and is {Record(folder).status.state} or without its output"
    for folder in kept.values():
        taken = Record(folder).info.snapshot
        if taken is not None and (problem := snapshot_problem(root, taken.id)):
            yield f"run {folder.name}: {problem}"


def _is_whole(record: Record) -> bool:
    was_pruned = (record.folder / "pruned.json").exists()
    return record.status.state is RunState.Completed and (was_pruned or (record.folder / "outputs/kept.txt").exists())


def _lost_models(events: list[Event], model: Path, runs: set[str]) -> Iterator[str]:
    entries, present = log_entries(model), versions(model)
    removed = {entry.version for entry in entries if entry.event == "remove"}
    reasons = {entry.why for entry in entries}
    claims = Counter(event["version"] for event in _all(events, "registered"))
    yield from (f"{MODEL}:{version} was given {count} times" for version, count in claims.items() if count > 1)
    yield from (f"{MODEL}:{version}" for version in claims if version not in {*present, *removed})
    for event in _all(events, "removed version"):
        if event["version"] not in removed or event["version"] in present:
            yield f"the removal of {MODEL}:{event['version']}"
    yield from (f"the move {event['why']}" for event in _all(events, "moved") if event["why"] not in reasons)
    for version in present:
        if (run := Model.load_record(model / str(version)).run) not in runs:
            yield f"run {run}, of which there is {MODEL}:{version}, was removed"


def _all(events: list[Event], *kinds: str) -> list[Event]:
    return [event for event in events if event["event"] in kinds]


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
