"""Alias: of two processes that move aliases, promote, register and remove versions, one is killed at any moment."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

from amlcore.errors import AmlcoreError
from amlcore.model.aliases import LogEntry, log_entries
from amlcore.model.folders import find_folder, versions
from amlcore.model.model import Model
from amlcore.worker import model_log
from tests.faults import Outcome
from tests.faults.support import TIMEOUT_S, Workplace
from tests.support.model_records import add_version

ROUNDS = 60
KILLED_WITHIN_S = 1.0


def attempt(seed: int, folder: Path) -> Outcome:
    chance, outcome = random.Random(seed), Outcome()
    workplace = Workplace.create(folder / "project")
    for accuracy in (0.5, 0.6, 0.7):
        add_version(workplace.root, metrics={"accuracy": accuracy})
    said = [folder / "victim", folder / "other"]
    victim, other = (_started(workplace, seed * 2 + index, path) for index, path in enumerate(said))
    _until_it_works(said[0])
    time.sleep(chance.uniform(0, KILLED_WITHIN_S))
    victim.kill()
    victim.wait()
    if other.wait(TIMEOUT_S) != 0:
        outcome.harmed.append("the other process failed: " + said[1].read_text()[-2000:])
    model = workplace.root / "models/wine"
    entries = log_entries(model)
    outcome.harmed += disorder(entries, model)
    kept = {entry.number for entry in entries}
    for path in said:
        for line in path.read_text().splitlines():
            outcome.lost += _missing(json.loads(line), kept, model, entries) if line.startswith("{") else []
    for verb in (["models"], ["alias"], ["models", "log", "wine"], ["models", "show", "wine"]):
        workplace.json(*verb)
    return outcome


def _started(workplace: Workplace, seed: int, said: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.faults.alias", str(workplace.root), str(seed)]
    with said.open("wb") as stream:
        here = Path(__file__).parents[2]
        return subprocess.Popen(command, cwd=here, stdout=stream, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)


def _until_it_works(said: Path) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not said.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.01)


def disorder(entries: list[LogEntry], model: Path) -> list[str]:
    """What makes the log of `model` anything but one order of whole moves, and what its versions lack."""
    problems = (
        [] if [entry.number for entry in entries] == list(range(1, len(entries) + 1)) else ["a number is missing"]
    )
    aliases: dict[str, int] = {}
    removed: set[int] = set()
    for entry in entries:
        if entry.event == "set" and entry.alias is not None:
            if entry.previous != aliases.get(entry.alias) or entry.version in removed:
                problems.append(f"entry {entry.number} does not follow from those before it")
            aliases[entry.alias] = entry.version
        elif entry.event == "unset":
            aliases.pop(str(entry.alias))
        else:
            if entry.version in aliases.values():
                problems.append(f"entry {entry.number} removes a version that an alias means")
            removed.add(entry.version)
        if entry.aliases != aliases or set(entry.removed_versions) != removed:
            problems.append(f"entry {entry.number} does not hold the state after it")
    for version in versions(model):
        Model.load_record(model / str(version)).verify()
    return problems + [f"{alias} means no version" for alias, version in aliases.items() if version in removed]


def _missing(line: dict[str, int], kept: set[int], model: Path, entries: list[LogEntry]) -> list[str]:
    """What was said to be done and is not there."""
    removed = {entry.version for entry in entries if entry.event == "remove"}
    if "entry" in line and line["entry"] not in kept:
        return [f"entry {line['entry']}"]
    version = line.get("version")
    if version is not None and version not in removed and version not in versions(model):
        return [f"version {version}"]
    return []


def main(root: Path, seed: int) -> None:
    """Move, promote, register and remove at random, and print each as soon as it is done."""
    from amlcore.model.aliases import set_alias, unset_alias
    from amlcore.model.promotion import promote
    from amlcore.model.removal import find_removable, remove_version

    chance, models = random.Random(seed), root / "models"
    print("started", flush=True)
    for number in range(ROUNDS):
        version = chance.choice(versions(models / "wine"))
        alias = chance.choice(["champion", "challenger", "stable"])
        entry = None
        try:
            match chance.randrange(6):
                case 0 | 1:
                    entry = set_alias(models, "wine", alias, version, why=f"{seed} {number}")
                case 2:
                    condition = f"accuracy >= {alias}.accuracy - 0.1"
                    entry = promote(models, f"wine:{version}", alias, condition=condition, why=None).entry
                case 3:
                    entry = unset_alias(models, "wine", alias)
                case 4:
                    done = add_version(root, metrics={"accuracy": chance.random()})
                    print(json.dumps({"version": done}), flush=True)
                case 5 if len(versions(models / "wine")) > 2:
                    entry = remove_version(find_removable(models, f"wine:{version}"))
        except AmlcoreError:
            continue  # the other process was first, or there is no such alias
        if entry is not None:
            assert Path(model_log.entry_path(models / "wine", entry.number)).exists()
            print(json.dumps({"entry": entry.number}), flush=True)
    find_folder(models, "wine")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
