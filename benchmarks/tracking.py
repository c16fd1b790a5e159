"""`make bench-tracking`: short runs recorded, listed and filtered, by amlcore, MLflow's SQLite store and wandb offline.

Each has an environment of its own; they take turns, and the ratios are medians over the turns. The listed runs are the
recorded ones, multiplied in each store by itself, and a filter must find the same in all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from amlcore.worker.mlflow.activation import PLUGIN
from benchmarks import environments
from benchmarks.trackers.workload import BEST, DEPTH, SHOWN

TRACKERS = Path(__file__).parent / "trackers"
AML = str(Path(sys.executable).parent / "aml")
MLFLOW, WANDB = "mlflow==3.17.2", "wandb"
OWN, KEPT, DATABASE, FILES = "amlcore", "MLflow's calls, amlcore's record", "MLflow, SQLite", "wandb, offline"
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
    "WANDB_CONSOLE": "off",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_X_DISABLE_STATS": "true",
    "PYTHONWARNINGS": "ignore",
}


@dataclass
class Tracker:
    """A script that records or searches, with the Python and the folder that it does so in."""

    name: str
    python: str
    script: str
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def call(self, *words: object) -> Any:
        command = [self.python, str(TRACKERS / self.script), *map(str, words)]
        env = {**os.environ, **QUIET, "XDG_CACHE_HOME": str(self.folder.parent / "cache"), **self.variables}
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{self.name}: {' '.join(map(str, words))} failed:\n{done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tracking")
    parser.add_argument("--runs", type=int, default=1000, help="how many each records (default: %(default)s)")
    parser.add_argument("--listed", type=int, default=20_000, help="how many are listed (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=4, help="how often they take turns (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        trackers = set_up(Path(folder))
        record(trackers, runs=options.runs, rounds=options.rounds)
        listed = [tracker for tracker in trackers if tracker.name in MULTIPLY]
        copies = options.listed // options.runs
        for tracker in listed:
            MULTIPLY[tracker.name](tracker.folder, copies)
        if listed and listed[0].name == KEPT:
            search(listed, runs=options.runs * copies, rounds=options.rounds)


def set_up(root: Path) -> list[Tracker]:
    """The trackers that can be installed, each with an empty store."""
    pythons = {name: environments.build(name.partition("=")[0], [name], folder=root) for name in (MLFLOW, WANDB)}
    trackers = [Tracker(OWN, sys.executable, "amlcore_calls.py", _folder(root / "own"))]
    mlflow, wandb = pythons[MLFLOW], pythons[WANDB]
    if mlflow is not None:
        kept, database = _folder(root / "kept"), _folder(root / "database")
        uris = {KEPT: f"amlcore://{kept}", DATABASE: f"sqlite:///{database}/mlflow.db"}
        trackers += [
            Tracker(name, mlflow, "mlflow_calls.py", place, {"MLFLOW_TRACKING_URI": uris[name], "PYTHONPATH": PLUGIN})
            for name, place in ((KEPT, kept), (DATABASE, database))
        ]
    if wandb is not None:
        trackers.append(Tracker(FILES, wandb, "wandb_calls.py", _folder(root / "files")))
    return trackers


def _folder(path: Path) -> Path:
    (path / ".amlcore").mkdir(parents=True)
    (path / ".amlcore/config.json").write_text('{"workspace_name": "bench"}')
    return path


def record(trackers: list[Tracker], *, runs: int, rounds: int) -> None:
    """Let each tracker record its part of the runs in turn, and print what one run costs."""
    count = runs // rounds
    costs = [
        [tracker.call("record", number * count, count)["run_s"] * 1000 for tracker in trackers]
        for number in range(rounds)
    ]
    title = f"{runs} short runs recorded"
    print(f"\n{title:66} {'ms a run':>9} {'÷ amlcore':>10} {'KB a run':>9}")
    for tracker, of_one, ratio in zip(trackers, *_medians(costs), strict=True):
        size = sum(path.lstat().st_blocks * 512 for path in tracker.folder.rglob("*")) / 1000 / runs
        print(f"{tracker.name:66} {of_one:9.2f} {ratio:10.2f} {size:9.1f}", flush=True)


def search(trackers: list[Tracker], *, runs: int, rounds: int) -> None:
    """List the newest runs, and those of a filter. The first of `trackers` keeps MLflow's calls in amlcore's record."""
    where = f"depth = {DEPTH} and accuracy > {BEST}"
    _search(trackers, "newest", [], title=f"the newest {SHOWN} of {runs} runs", rounds=rounds)
    _search(trackers, "best", [where, "--sort", "accuracy"], title=f"{runs} runs by '{where}'", rounds=rounds)


def _search(trackers: list[Tracker], verb: str, words: list[str], *, title: str, rounds: int) -> None:
    """Search each store by a command of its own, then in a process that has begun, and print the medians."""
    kept = trackers[0].folder
    running = [Tracker(OWN, sys.executable, "amlcore_calls.py", kept), *trackers]
    _check_equal({one.name: one.call(verb, 1)["accuracies"] for one in running}, is_ordered=verb == "best")
    commands: dict[str, Callable[[], object]] = {"aml runs": partial(_aml, kept, *words)}
    commands |= {f"a script: {one.name}": partial(one.call, verb, 1) for one in trackers}
    _print_times(title, commands, [[_elapsed(work) for work in commands.values()] for _ in range(rounds)])
    seconds = [[statistics.median(one.call(verb, 4)["seconds"][1:]) for one in running] for _ in range(rounds)]
    _print_times(f"{title}, in a running process", [one.name for one in running], seconds)


def _aml(folder: Path, *words: str) -> None:
    command = [AML, "runs", *words, "--limit", str(SHOWN), "--json"]
    env = {**os.environ, "XDG_CACHE_HOME": str(folder.parent / "cache")}
    subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True)


def _elapsed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _check_equal(answers: dict[str, list[float]], *, is_ordered: bool) -> None:
    """The same runs match wherever they are kept; copies of one moment are listed in any order."""
    first, *others = [answer if is_ordered else [len(answer)] for answer in answers.values()]
    assert all(other == first for other in others), f"the answers differ: {answers}"


def _print_times(title: str, names: Iterable[str], rounds: list[list[float]]) -> None:
    print(f"\n{title:66} {'ms':>9} {'÷ amlcore':>10}")
    for name, seconds, ratio in zip(names, *_medians(rounds), strict=True):
        print(f"{name:66} {seconds * 1000:9.1f} {ratio:10.2f}", flush=True)


def _medians(rounds: list[list[float]]) -> tuple[list[float], list[float]]:
    """Of each column the median, and the median of its ratios to the first."""
    columns = list(zip(*rounds, strict=True))
    ratios = [[value / first for value, first in zip(column, columns[0], strict=True)] for column in columns]
    return list(map(statistics.median, columns)), list(map(statistics.median, ratios))


def _multiply_record(folder: Path, copies: int) -> None:
    """Copy the folders of all runs; only run.json, which holds the id, is written anew."""
    for run in [path.parent for path in folder.glob("outputs/bench/*/run.json")]:
        facts = json.loads((run / "run.json").read_text())
        for copy in range(1, copies):
            other = run.parent / f"{1000 + copy}{run.name[4:]}"  # an id begins with the year
            for path in run.rglob("*"):
                if path.is_file() and path.name != "run.json":
                    target = other / path.relative_to(run)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    os.link(path, target)
            (other / "run.json").write_text(json.dumps({**facts, "id": other.name}, indent=1))


def _multiply_database(folder: Path, copies: int) -> None:
    """Copy the rows of all runs under other ids."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection, connection:
        for table in ("runs", "params", "tags", "metrics", "latest_metrics"):
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            rows = connection.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()
            place = columns.index("run_uuid")
            marks = ", ".join("?" * len(columns))
            copied = (
                (*row[:place], f"g{copy:03}{row[place][4:]}", *row[place + 1 :])  # no id of MLflow has a g
                for copy in range(1, copies)
                for row in rows
            )
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", copied)


def _multiply_files(folder: Path, copies: int) -> None:
    for path in list(folder.glob("wandb/offline-run-*/*.wandb")):
        for copy in range(1, copies):
            other = path.parent.parent / f"{path.parent.name}{copy:02}"
            other.mkdir()
            os.link(path, other / f"{path.stem}{copy:02}.wandb")


MULTIPLY: dict[str, Callable[[Path, int], None]] = {
    KEPT: _multiply_record,
    DATABASE: _multiply_database,
    FILES: _multiply_files,
}

if __name__ == "__main__":
    main()
