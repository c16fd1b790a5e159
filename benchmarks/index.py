"""`make bench-index`: what lists and filters cost in a workspace of very many runs; medians of turns."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from amlcore.index.index import RunIndex
from amlcore.index.row import row_of
from amlcore.record.record import Record
from amlcore.runs.view import RunView
from amlcore.workspace import Workspace
from tests.support.run_records import write_run

AML = str(Path(sys.executable).parent / "aml")
FEW, MANY = 100, 20_000
BUILT = 2000
TURNS = 9
FILTER = 'accuracy > 0.9 and max_depth < 5 and user = "anna" and created > 2025-01-01 and state = Completed'


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        few, many, built = (_workspace(Path(folder, str(count)), count) for count in (FEW, MANY, BUILT))
        _list(many, "--all", "--json")  # builds the index
        print(f"{'':52} {'measured':>10} {'at most':>8}")
        plain = _ratio(lambda: _list(many), lambda: _list(few))
        _print(f"aml runs: {MANY} runs ÷ {FEW} runs", plain, 1.5)
        found = statistics.median(_seconds(lambda: _list(many, FILTER, "--sort", "accuracy")) for _ in range(TURNS))
        _print(f"aml runs FILTER --sort, {MANY} runs, warm: seconds", found, 0.5)
        _print("a cold build beyond reading the files: µs a run", _build_us(built), 60)
        _print(f"a second look of a server, {MANY} runs: seconds of CPU", _look_s(many), 0.3)


def _workspace(root: Path, count: int) -> Path:
    (root / ".amlcore").mkdir(parents=True)
    (root / ".amlcore/config.json").write_text('{"workspace_name": "bench"}')
    values = random.Random(0)
    for number in range(count):
        write_run(
            root,
            40 * number,
            experiment=f"e{number % 4}",
            parameters={"max_depth": number % 10, "lr": values.random(), **{f"p{one}": one for one in range(8)}},
            metrics={"accuracy": values.random(), **{f"m{one}": values.random() for one in range(9)}},
            user="anna" if number % 2 else "bob",
            state="Completed" if number % 7 else "Failed",
        )
    return root


def _list(root: Path, *words: str) -> None:
    subprocess.run([AML, "runs", *words], cwd=root, capture_output=True, check=True)


def _build_us(root: Path) -> float:
    """The time of the processor that a build of the index takes beside reading the same runs."""

    def read() -> None:
        for folder in workspace.run_folders:
            row_of(RunView(Record(folder)), place=folder.name)

    def build() -> None:
        os.environ["XDG_CACHE_HOME"] = f"{root}/cache-{time.monotonic_ns()}"
        RunIndex(workspace).look()

    workspace = Workspace(root=str(root))
    read()
    pairs = [(_seconds(build, time.process_time), _seconds(read, time.process_time)) for _ in range(5)]
    return 1e6 * statistics.median(built - alone for built, alone in pairs) / BUILT


def _look_s(root: Path) -> float:
    index = RunIndex(Workspace(root=str(root)))
    index.look()
    return statistics.median(_seconds(index.look, time.process_time) for _ in range(TURNS))


def _ratio(work: Callable[[], object], against: Callable[[], object]) -> float:
    return statistics.median(_seconds(work) / _seconds(against) for _ in range(TURNS))


def _seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    begun = clock()
    work()
    return clock() - begun


def _print(name: str, measured: float, at_most: float) -> None:
    print(f"{name:52} {measured:10.2f} {at_most:8.2f}", flush=True)


if __name__ == "__main__":
    main()
