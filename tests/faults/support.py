"""What the kinds of faults share: a small workspace, and `aml` in it as a user calls it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TRAIN = """
import argparse, joblib, os
from sklearn.linear_model import LogisticRegression
from amlcore import Run
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float, default=1.0)
x = parser.parse_args().x
run = Run.get_context()
for step in range(20):
    run.log("loss", 1.0 / (step + 1), step=step)
run.log("score", x)
run.tag("colour", "blue")
run.log_sample([[0.0, 1.0], [1.0, 0.0]])
os.makedirs("outputs/notes", exist_ok=True)
open("outputs/notes/text.txt", "w").write("kept" * 1000)
joblib.dump(LogisticRegression().fit([[0, 1], [1, 0], [1, 1], [0, 0]], [0, 1, 1, 0]), "outputs/model.joblib")
print("trained")
"""
BASE = ("script.script=train.py", "environment=current", "experiment_name=trial-of-faults")
TIMEOUT_S = 120.0


@dataclass
class Workplace:
    """A workspace in a folder, and the environment of the commands that are called in it."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)

    @classmethod
    def create(cls, root: Path, **env: str) -> Workplace:
        (root / ".amlcore").mkdir(parents=True)
        (root / ".amlcore/config.json").write_text('{"workspace_name": "faults"}')
        (root / "train.py").write_text(TRAIN)
        return cls(root, env)

    def command(self, *arguments: str) -> dict[str, Any]:
        """What subprocess takes to call `aml` here."""
        return {
            "args": [sys.executable, "-m", "amlcore", *arguments],
            "cwd": self.root,
            "env": {**os.environ, **self.env},
            "stdin": subprocess.DEVNULL,
        }

    def aml(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        called = self.command(*arguments)
        return subprocess.run(**called, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)

    def json(self, *arguments: str) -> Any:
        """What a verb answers with --json; raises RuntimeError with its words where it fails."""
        done = self.aml(*arguments, "--json")
        if done.returncode != 0:
            raise RuntimeError(f"aml {' '.join(arguments)}: exit status {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)


def check_run(run: dict[str, Any]) -> list[str]:
    """What is lost of a completed run: outputs that are listed and not there, or not what they were; metrics."""
    folder, lost = Path(run["folder"]), []
    listed = folder / "outputs.json"
    for item in json.loads(listed.read_text()) if listed.exists() else []:
        path = folder / item["path"]
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != item["sha256"]:
            lost.append(f"{path} of completed {run['id']}")
    if run["metrics"].get("score") is None:
        lost.append(f"the metric score of completed {run['id']}")
    if not list((folder / "outputs").iterdir()):
        lost.append(f"all outputs of completed {run['id']}")
    return lost


def check_models(workplace: Workplace, *, said: str) -> list[str]:
    """What is lost of the models that `said` tells were registered."""
    told = re.findall(r"registered (\S+):(\d+)", said)
    known = {(model["name"], str(model["version"])) for model in workplace.json("models")}
    lost = [f"model {name}:{version}" for name, version in told if (name, version) not in known]
    for name, version in known:
        for path, sha256 in _hashes(workplace.root / "models" / name / version):
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
                lost.append(f"{path} of {name}:{version}")
    return lost


def _hashes(folder: Path) -> list[tuple[Path, str]]:
    facts = json.loads((folder / "model.json").read_text())
    return [(folder / "files" / file["path"], file["sha256"]) for file in facts["files"]]
