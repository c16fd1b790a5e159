"""`python -m tests.support.crashes FOLDER SAMPLER SIGNAL POINTS`: sweeps with a signal at a chosen file operation.

Each is then gone on with. After a kill it must have come to the same as if nothing had happened, also where other
commands have settled what they found meanwhile; after an interruption too, once it has tried again what was canceled by
that. Prints a line of JSON for each point where it did not, and how many points there were at last.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from amlcore.app import sweeps
from amlcore.app.drive import drive
from amlcore.config import Search, compose_search
from amlcore.execution.sweep_submission import submit_sweep
from amlcore.record.record import Record
from amlcore.runs import reconcile
from amlcore.sweep.study import Study

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


def main(folder: Path, sampler: str, number: signal.Signals, points: int) -> None:
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
        record.release()  # it is carried out by another process than this one, which lives on
        ended = _driven(record, at=(point, number))
        if point % 2:
            for run in (record, *_trials(record)):
                reconcile.reconcile(run)
        found = _outcome(search, record) if (status := _driven(record, again=search)) == 0 else {"exit status": status}
        if found != expected and not (number == signal.SIGINT and ended in (0, 130) and _is_consistent(found)):
            print(json.dumps({"point": point, "ended": ended, "found": found, "folder": str(record.folder)}))
    print(operations)


def _without_a_crash(search: Search) -> tuple[dict[str, Any], int]:
    """What the sweep comes to, and how many file operations its driver does."""
    record, count = submit_sweep(search, overrides=[]), Path("count")
    assert _driven(record, told=lambda number: count.write_text(str(number))) == 0
    return _outcome(search, record), int(count.read_text())


def _driven(
    record: Record,
    *,
    again: Search | None = None,
    at: tuple[int, signal.Signals] = (0, signal.SIGKILL),
    told: Callable[[int], Any] | None = None,
) -> int:
    """Carry the sweep out, or on, in a process of its own, which gets a signal at one of its operations.

    Returns
    -------
    int
        Its exit status; below 0 the signal that ended it, SIGALRM where it hangs.
    """
    pid = os.fork()
    if pid == 0:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        signal.alarm(60)
        counted = 0

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal counted
            opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
            if opened or event in OPERATIONS:
                counted += 1
                if counted == at[0]:
                    os.kill(os.getpid(), at[1])

        sys.addaudithook(count)
        status = 1
        try:
            if again:
                status = sweeps.resume(again.job.workspace, record.folder.name, detach=False, log=lambda _: None)
            else:
                status = drive(record.folder, log=lambda _: None)
            if told:
                told(counted)
        except KeyboardInterrupt:
            status = 130  # as the command line has it
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _trials(record: Record) -> list[Record]:
    """The runs of all trials; one too many would be among them."""
    folders = [Path(f"{record.folder}_{number}") for number in range(2 * TRIALS + 1)]
    return [Record(folder) for folder in folders if (folder / "run.json").exists()]


def _is_consistent(found: dict[str, Any]) -> bool:
    """Whether every point was tried once, those that were canceled again, and study and runs say the same of it."""
    trials, runs = found.get("trials", []), found.get("runs", [])
    numbers = [trial[0] for trial in trials] == [run[0] for run in runs] == list(range(len(trials)))
    points = sorted(trial[1] for trial in trials if trial[2] == "COMPLETE")
    again = {trial[1] for trial in trials if trial[2] == "CANCELED"}
    tried = len(points) == len(set(points)) == TRIALS and again <= set(points)
    return numbers and tried and all(map(_agree, trials, runs))


def _agree(trial: list[Any], run: list[Any]) -> bool:
    _, point, told, _ = trial
    _, state, same_point, attempt, said, driven = run
    ended = (told, state, attempt, said) == ("COMPLETE", "Completed", 1, "ran\n")
    return point == same_point and not driven and (ended or (told, state) == ("CANCELED", "Canceled"))


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
    for number, run in enumerate(_trials(record)):
        said = Path(run.layout.stdout).read_text() if Path(run.layout.stdout).exists() else ""
        runs.append([number, run.status.state, place(run.info.parameters["x"]), run.attempt, said, run.is_driven])
    state = record.status
    found = {"trials": told, "runs": runs, "state": [state.state, state.reason, state.exit_status, record.is_driven]}
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2], signal.Signals[sys.argv[3]], int(sys.argv[4]))
