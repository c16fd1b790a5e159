"""One process of the crowd: what it does next is drawn by chance, and each thing that was done goes to its own file."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from amlcore.config import compose
from amlcore.errors import RequestError
from amlcore.execution.submission import submit
from amlcore.model.aliases import log_entries
from amlcore.model.folders import versions
from amlcore.record.record import Record
from amlcore.record.status import RunState
from amlcore.record.usage_lock import in_use
from amlcore.snapshot import snapshot
from amlcore.workspace import Workspace
from tests.support.aml import Said
from tests.support.called import called
from tests.support.model_records import add_version

TRIALS = 4
"""Of each sweep that was there before."""

MODEL, ALIASES = "wine", ("champion", "challenger")
SCRIPT = "open('outputs/kept.txt', 'w').write('kept'); print('trained')\n"
TIMEOUT_S = 240.0


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
            self.run: 1,
            self.register: 2,
            self.alias: 2,
            self.promote: 2,
            self.remove_model: 1,
            self.look_at_models: 1,
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
        assert not (problem := snapshot_problem(self._root, record.snapshot_id)), problem
        record.enter(RunState.Completed)
        record.release()
        self._note("submitted", run=record.folder.name)

    def run(self) -> None:
        """A whole `aml run`: worker, script, outputs."""
        source = self._root / f"real-{self._seed}"
        source.mkdir(exist_ok=True)
        (source / "train.py").write_text(SCRIPT)
        words = [f"script.source_directory={source}", "script.script=train.py", "environment=current"]
        command = [sys.executable, "-m", "amlcore", "run", *words, "experiment_name=real"]
        done = subprocess.run(
            command,
            cwd=self._root,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
        assert (done.returncode, done.stdout) == (0, "trained\n"), done
        self._note("ran", run=re.findall(r"run (\S+) in ", done.stderr)[0])

    def register(self) -> None:
        """A version of the model from a run, as `aml register` writes one."""
        run = self._any_run()
        with in_use(self._root):
            if run is not None and Record(run).is_present:
                version = add_version(self._root, MODEL, metrics={"accuracy": self._chance.random()}, run=run.name)
                self._note("registered", run=run.name, version=version)

    def alias(self) -> None:
        if (version := self._any_version()) is not None:
            alias = f"{MODEL}@{self._chance.choice(ALIASES)}"
            words = ["--remove"] if self._chance.random() < 0.2 else [str(version)]
            why = f"{self._seed}-{self._number}"
            said = self._aml("alias", alias, *words, "--why", why)
            if said is not None and "already" not in said.err:
                self._note("moved", why=why)

    def promote(self) -> None:
        if (version := self._any_version()) is not None:
            alias = self._chance.choice(ALIASES)
            condition = f"accuracy >= {alias}.accuracy - 0.1"
            self._aml("promote", f"{MODEL}:{version}", "--to", alias, "--if", condition, refusals=(1, 2))

    def remove_model(self) -> None:
        if (version := self._any_version()) is not None and self._aml("models", "rm", f"{MODEL}:{version}"):
            self._note("removed version", version=version)

    def look_at_models(self) -> None:
        """At each moment the log is whole, and the lists show what it says."""
        model = self._workspace.models_path / MODEL
        if not model.exists():
            return
        numbers = [entry.number for entry in log_entries(model)]
        assert numbers == list(range(1, len(numbers) + 1)), f"entries of the log: {numbers}"
        for row in called(self._root, "models", "--json").json:
            assert None not in (row["run"], row["sha256"]), f"listed in part: {row}"
        called(self._root, "alias", "--json")
        self._aml("models", "log", MODEL, "--json")

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

    def _any_version(self) -> int | None:
        numbers = versions(self._workspace.models_path / MODEL)
        return self._chance.choice(numbers) if numbers else None

    def _aml(self, *words: str, refusals: tuple[int, ...] = (2,)) -> Said | None:
        """What a verb says that did what it was asked to; what is in use or gone meanwhile is refused in words."""
        said = called(self._root, *words, status=None)
        if said.status not in (0, *refusals) or "Traceback" in said.err:
            raise AssertionError(f"aml {' '.join(words)}: {said}")
        return said if said.status == 0 else None

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


def snapshot_problem(root: Path, identifier: str) -> str:
    """What is wrong with a snapshot; "" if it is whole."""
    try:
        taken = snapshot.load(identifier, store=root / ".amlcore/snapshots")
        paths = [taken.objects / file.sha256[:2] / file.sha256 for file in snapshot.stored_files(taken.manifest)]
    except (RequestError, OSError) as error:
        return str(error)
    return ", ".join(f"{path} is missing" for path in paths if not path.exists())
