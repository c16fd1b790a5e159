"""Kill: one of the processes of a run or a sweep is killed at a random moment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from amlcore.worker.process.processes import family
from tests.faults import Outcome
from tests.faults.support import BASE, Workplace, check_models, check_run

SWEEP = ("-m", "sweep.primary_metric=score", "+script.arguments.x=1,2,3", "sweep.plots=false")
END_S = 60.0


def attempt(seed: int, folder: Path) -> Outcome:
    chance, outcome = random.Random(seed), Outcome()
    workplace = Workplace.create(folder / "project")
    sweep = SWEEP if chance.random() < 0.4 else ()
    called = workplace.command("run", *BASE, "model.name=m", *sweep)
    with (folder / "said").open("wb") as said:
        driver = subprocess.Popen(**called, stdout=said, stderr=said, start_new_session=True)
    victim, command = _kill_one(driver, chance, after_s=chance.uniform(0, 5))
    driver.wait(END_S)
    words = (folder / "said").read_text(errors="replace")
    runs = _ended(workplace)
    for run in runs:
        if run["state"] == "Completed":
            outcome.lost += check_run(run)
        elif run["state"] not in ("Failed", "Canceled"):
            outcome.harmed.append(f"{victim} was killed, and {run['id']} is {run['state']} for good")
        elif victim == "worker":
            outcome.harmed.append(
                f"a worker was killed ({command}), and {run['id']} is {run['state']}: {run['reason']}"
            )
        elif victim == "driver" and not sweep and run["attempt"]:
            # Its worker goes on without it, and whoever looks next brings the run to its end.
            outcome.harmed.append(
                f"the driver was killed, and {run['id']}, which ran, is {run['state']}: {run['reason']}"
            )
        workplace.json("show", run["id"])
    if "Completed in" in words and not any(run["state"] == "Completed" for run in runs):
        outcome.lost.append(f"the run that had completed: {words[-600:]}")
    outcome.lost += check_models(workplace, said=words)
    return outcome


def _kill_one(driver: subprocess.Popen[bytes], chance: random.Random, *, after_s: float) -> tuple[str, str]:
    """Kill the driver or one of its descendants; return which one it was, and its command line."""
    time.sleep(after_s)
    found = {driver.pid: "driver", **{pid: _kind(pid) for pid in sorted(family(driver.pid, driver.pid))}}
    kinds = sorted({kind for kind in found.values() if kind})
    kind = chance.choice(kinds)
    pid = chance.choice([pid for pid, other in found.items() if other == kind])
    command = _command(pid)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return kind, command


def _kind(pid: int) -> str:
    """What a process is: the worker that the driver started, what is forked of it, or nothing of a run."""
    if "worker/main.py" not in _command(pid):
        return ""
    with suppress(OSError):
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        return "fork" if "worker/main.py" in _command(parent) else "worker"
    return ""


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def _ended(workplace: Workplace) -> list[dict[str, object]]:
    """The runs as soon as all have ended, or as they are after a timeout."""
    deadline = time.monotonic() + END_S
    while True:
        runs: list[dict[str, object]] = workplace.json("runs", "--children")
        if all(run["state"] in ("Completed", "Failed", "Canceled") for run in runs) or time.monotonic() > deadline:
            return runs
        time.sleep(0.2)
