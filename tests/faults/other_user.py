"""Other user: colleagues with other umasks list, read, cancel and register what a member of their group runs."""

from __future__ import annotations

import json
import os
import random
import signal
from contextlib import suppress
from pathlib import Path

from tests.faults import Outcome
from tests.support import users
from tests.support.aml import until
from tests.support.users import User, group_workspace

UMASKS = (0o002, 0o022, 0o077)
TEXT = "what the script wrote"
SCRIPT = f"""
import os, sys, time
from amlcore import Run
os.makedirs("outputs/more")
open("outputs/more/kept.txt", "w").write({TEXT!r})
Run.get_context().log("score", 1.0)
while not os.path.exists(sys.argv[1]): time.sleep(0.02)
"""
LOOKS = (("runs",), ("show", "RUN"), ("logs", "RUN"), ("models",))
ACTS = (("cancel", "RUN"), ("resume", "RUN"), ("register", "RUN", "--name", "m", "--path", "outputs/more/kept.txt"))


def can_run() -> str:
    return users.unable()


def attempt(seed: int, folder: Path) -> Outcome:
    chance, outcome = random.Random(seed), Outcome()
    workspace = group_workspace(folder / "workspace")
    (workspace / "a.py").write_text(SCRIPT)
    go = workspace / "go"
    owner, other = User(42001, chance.choice(UMASKS)), User(42002, chance.choice(UMASKS))
    call = ("run", "a.py", "environment=current", "--detach", "--", str(go))
    owner.aml(workspace, *call)
    (claim,) = until(lambda: [*workspace.glob("outputs/a/*/attempts/1/claim.json")], within_s=120)
    run = claim.parents[2]
    has_driver, ends_first = chance.random() < 0.5, chance.random() < 0.5
    if not has_driver:
        os.kill(json.loads((run / "driver.json").read_text())["pid"], signal.SIGKILL)
    if ends_first:
        go.touch()
        until((claim.parent / "result.json").exists)
    canceled = False
    for verb, *words in chance.sample((*LOOKS, *ACTS), 3):
        said = other.aml(workspace, verb, *(run.name if word == "RUN" else word for word in words), status=None)
        if verb in ("runs", "models") and said.status:
            outcome.harmed.append(f"aml {verb} of another user ends with {said.status}: {said.err}")
        canceled = canceled or (verb == "cancel" and said.status == 0)
        if verb == "cancel" and said.status and (run / "cancel.json").exists():
            outcome.harmed.append(f"aml cancel was refused, and asked for the end all the same: {said.err}")
    go.touch()
    until((claim.parent / "result.json").exists)
    found = until(lambda: _ended(owner, workspace, run), within_s=60)
    if found["state"] != ("Canceled" if canceled else "Completed"):
        outcome.harmed.append(f"the run is {found['state']} ({found['reason']}) for its owner")
    with suppress(OSError):
        if (run / "outputs/more/kept.txt").read_text() == TEXT:
            return outcome
    outcome.lost.append(f"outputs/more/kept.txt of a run that is {found['state']}")
    return outcome


def _ended(user: User, workspace: Path, run: Path) -> dict[str, str] | None:
    """The run as `user` sees it, once it has ended."""
    found: list[dict[str, str]] = user.aml(workspace, "runs", "--all", "--json").json
    states = ("Completed", "Failed", "Canceled")
    return next((one for one in found if one["id"] == run.name and one["state"] in states), None)
