"""`python -m tests.crashes FOLDER SAMPLER POINTS`: sweeps whose driver is killed at a chosen file operation.

Each is then gone on with, and must have come to the same as if nothing had happened. Prints a line of JSON for each
point where it did not, and how many points there were at last.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from amlcore import app_sweep
from amlcore.config import Search, compose_search
from amlcore.record import Record
from amlcore.sweep.study import Study
from amlcore.sweep_driver import submit_sweep

TRIALS = 3
SCRIPT = """
import argparse
from amlcore import Run
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
Run.get_context().log("score", parser.parse_args().x)
print("ran")
"""
WRITING = os.O_WRONLY | os.O_RDWR
OPERATIONS = {
    *("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.truncate", "os.utime", "os.chmod"),
    *("shutil.rmtree", "subprocess.Popen", "fcntl.flock", "os.kill", "os.killpg"),
}


def main(folder: Path, sampler: str, points: int) -> None:
    """Try so many of the points, or all where it is 0."""
    (folder / ".amlcore").mkdir(parents=True)
    (folder / ".amlcore/config.json").write_text('{"workspace_name": "crashes"}')
    (folder / "train.py").write_text(SCRIPT)
    os.chdir(folder)
    words = ["script.script=train.py", "environment=current", "compute.slots=2", f"sweep={sampler}", "sweep.seed=1"]
    words += ["sweep.primary_metric=score", f"sweep.max_total_runs={TRIALS}"]
    space = "1,3,2" if sampler == "grid" else "interval(-10,10)"
    search = compose_search([*words, f"+script.arguments.x={space}"], root=folder)
    assert search is not None
    expected, operations = _without_a_crash(search)
    found = list(range(1, operations + 1))
    for point in random.Random(points).sample(found, points) if points else found:
        record = submit_sweep(search, overrides=[])
        killed = _driven(record, kill_at=point)
        wrong = _outcome(search, record) if (status := _driven(record)) == 0 else {"exit status": status}
        if wrong != expected:
            print(json.dumps({"point": point, "killed": killed, "found": wrong, "folder": str(record.folder)}))
    print(operations)


def _without_a_crash(search: Search) -> tuple[dict[str, Any], int]:
    """What the sweep comes to, and how many file operations its driver does."""
    record, count = submit_sweep(search, overrides=[]), Path("count")
    assert _driven(record, told=lambda number: count.write_text(str(number))) == 0
    return _outcome(search, record), int(count.read_text())


def _driven(record: Record, *, kill_at: int | None = None, told: Callable[[int], Any] | None = None) -> int:
    """Carry the sweep out, or on, in a process of its own, which ends by SIGKILL at operation `kill_at`."""
    pid = os.fork()
    if pid == 0:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        counted = 0

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal counted
            opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
            if opened or event in OPERATIONS:
                counted += 1
                if counted == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        status = 1
        try:
            status = app_sweep.drive(record.folder)
            if told:
                told(counted)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _outcome(search: Search, record: Record) -> dict[str, Any]:
    """What record and study say of the trials; a value is told by the place where it first appears.

    So two sweeps are alike that drew different values, as long as none is drawn twice.
    """
    seen: list[Any] = []

    def place(value: Any) -> int:
        if value not in seen:
            seen.append(value)
        return seen.index(value)

    study = Study(search.sweep, search.space, file=Path(record.layout.study))
    told = [
        [trial.number, place(trial.values["script.arguments.x"]), trial.state, place(trial.value)]
        for trial in study.trials()
    ]
    study.close()
    runs = []
    for number in range(TRIALS + 1):
        run = Record(record.folder.with_name(f"{record.folder.name}_{number}"))
        with suppress(FileNotFoundError):
            said = Path(run.layout.stdout).read_text()
            runs.append([number, run.status.state, place(run.facts["parameters"]["x"]), run.attempt, said, run.driven])
    state = record.status
    found = {"trials": told, "runs": runs, "state": [state.state, state.reason, state.exit_status, record.driven]}
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2], int(sys.argv[3]))
