"""Full disk: a filesystem of a few megabytes is full for some seconds during a run or a sweep."""

from __future__ import annotations

import os
import random
import subprocess
import threading
import time
from pathlib import Path

from tests.faults import Outcome
from tests.faults.support import BASE, Workplace, check_models, check_run

SIZE = "16m"
LAID_S = 60.0
STAGES = ("run.json", "environment.json", "queued.json", "attempts/1/work", "attempts/1/claim.json", "outputs.json")
"""Files of a run, in the order in which they are there."""
SWEEP = ("-m", "sweep.primary_metric=score", "+script.arguments.x=1,2,3", "sweep.plots=false")
REFUSED = ("No space left on device", "the disk")


def can_run() -> str:
    """Why it cannot be tried here."""
    if os.geteuid() != 0:
        return "only root can mount a filesystem"
    made = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False
    )
    return "" if made.returncode == 0 else f"no filesystem can be mounted here: {made.stderr.decode().strip()}"


def attempt(seed: int, folder: Path) -> Outcome:
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(disk)], check=True)
    try:
        return _attempt(random.Random(seed), Workplace.create(disk / "project"), disk)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _attempt(chance: random.Random, workplace: Workplace, disk: Path) -> Outcome:
    outcome = Outcome()
    sweep = SWEEP if chance.random() < 0.4 else ()
    full = threading.Thread(
        target=_fill, args=(disk, chance.choice(STAGES), chance.uniform(0, 0.3), chance.uniform(0.5, 3))
    )
    full.start()
    done = workplace.aml("run", *BASE, "model.name=m", *sweep)
    full.join()
    for run in workplace.json("runs", "--children"):
        if run["state"] == "Completed":
            outcome.lost += check_run(run)
        elif not _names_the_disk(run, done.stderr):
            outcome.harmed.append(f"{run['id']} is {run['state']}: {run['reason']}; {done.stderr[-600:]}")
    outcome.lost += check_models(workplace, said=done.stderr)
    if done.returncode and not any(words in done.stderr for words in REFUSED):
        outcome.harmed.append(f"exit status {done.returncode}: {done.stderr[-600:]}")
    if "Traceback" in done.stderr and "amlcore/__main__" in done.stderr:
        outcome.harmed.append(f"a traceback: {done.stderr[-900:]}")
    return outcome


def _fill(disk: Path, stage: str, after_s: float, for_s: float) -> None:
    """Fill the disk soon after a run reached a stage, and whatever becomes free meanwhile; then free it again."""
    path, deadline = disk / "filler", time.monotonic() + LAID_S
    while not list(disk.glob(f"project/outputs/*/*/{stage}")) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(after_s)
    until = time.monotonic() + for_s
    with path.open("wb", buffering=0) as filler:
        while time.monotonic() < until:
            try:
                filler.write(b"x" * 4096)
            except OSError:
                time.sleep(0.01)
    path.unlink()


def _names_the_disk(run: dict[str, object], said: str) -> bool:
    """Whether a run that did not complete says why, in its reason or by what its script could not write."""
    return any(words in f"{run['reason']}" for words in REFUSED)
