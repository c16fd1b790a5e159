"""A workspace with one of everything that the page shows, and its server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.aml import background, until
from tests.support.ports import free_ports
from tests.support.run_records import write_run

LONG = "long-" + "x" * 95
STARTS_WITHIN_S = 240.0
"""The first time MLflow is installed."""

SCRIPT = """
import os, sys
import joblib, matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from amlcore import Run

run, C = Run.get_context(), float(sys.argv[2])
X, y = load_iris(return_X_y=True, as_frame=True)
model = LogisticRegression(C=C, max_iter=500).fit(X, y)
for step in range(30):
    run.log("loss", 1 / (step + 1) / C, step=step)
run.log("accuracy", model.score(X, y))
run.log("nothing", float("nan"))
run.log("top", float("inf"))
run.log("bottom", float("-inf"))
run.log("verdict", "good enough")
run.log_list("folds", [0.1, 0.2, 0.3])
run.log_row("point", x=1.5, y=2.5)
run.log_table("table", {"a": [1, 2], "b": ["x", "y"]})
run.log_confusion_matrix("confusion", [[3, 1], [0, 4]])
figure, axes = plt.subplots()
axes.plot([1, 3, 2])
run.log_image("curve", plot=figure)
run.tag("team", "blue")
os.makedirs("outputs/deep", exist_ok=True)
open("outputs/table.csv", "w").write("city,rain\\nOslo,7\\n")
open("outputs/deep/words.txt", "w").write("hello from deep inside\\n")
run.log_sample(X)
joblib.dump(model, "outputs/model.joblib")
for fold in range(3):
    child = run.child_run(f"fold {fold}")
    child.log("score", 0.9 + fold / 100)
    child.complete()
print("done")
"""
TRIAL = "import sys\nfrom amlcore import Run\nRun.get_context().log('score', -abs(float(sys.argv[2])))\n"


@dataclass(frozen=True)
class Gallery:
    """The folder of the workspace, and the runs in it that tests name."""

    root: Path
    full: str
    sweep: str
    archived: str


def build(root: Path) -> Gallery:
    """12 runs, a sweep of 20 trials, and two models with aliases."""

    def aml(*words: str) -> Any:
        command = [sys.executable, "-m", "amlcore", *words]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if "--json" in words else done.stdout

    (root / ".amlcore").mkdir(parents=True)
    (root / ".amlcore/config.json").write_text('{"workspace_name": "gallery"}')
    (root / "full.py").write_text(SCRIPT)
    (root / "trial.py").write_text(TRIAL)
    for number in range(8):
        write_run(root, number, experiment="train", parameters={"depth": number}, metrics={"loss": 1 / (number + 1)})
    write_run(root, 20, experiment="a.b", metrics={"loss": 0.5})
    write_run(root, 21, experiment=LONG, metrics={"loss": 0.25}, state="Failed", reason="it ended with ValueError")
    for name, penalty in (("wine", "1"), ("iris", "2"), ("wine", "3")):
        model = [f"model.name={name}", "model.path=outputs/model.joblib", "experiment_name=gallery"]
        aml("run", "full.py", "environment=current", *model, "--", "--C", penalty)
    aml(
        *(
            "run",
            "-m",
            "trial.py",
            "environment=current",
            "experiment_name=search",
            "sweep=random",
            "sweep.plots=false",
        ),
        *("sweep.max_total_runs=20", "sweep.primary_metric=score", "+script.arguments.x=interval(-1,1)"),
    )
    sweep, full, _, archived = (run["id"] for run in aml("runs", "--json", "--limit", "4"))
    aml("alias", "wine@champion", "1")
    aml("alias", "wine@challenger", "2")
    aml("alias", "iris@champion", "1")
    aml("name", full, "baseline")
    aml("note", full, "Trained on the *old* data.")
    aml("tag", full, "good=yes", "team=red")
    aml("tag", "wine:1", "stage=prod")
    aml("archive", archived)
    return Gallery(root, full, sweep, archived)


@contextmanager
def serving(root: Path) -> Iterator[str]:
    """The address of the page of the workspace at `root`, while it is served."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    with background(root, "ui", "--port", port) as process:
        until(lambda: process.poll() is not None or answers(url), within_s=STARTS_WITHIN_S)
        assert process.poll() is None, process.communicate()[1]
        yield url


def answers(url: str) -> bool:
    try:
        return ask(f"{url}/version")[0] == 200
    except urllib.error.URLError:
        return False


def ask(
    url: str, body: dict[str, Any] | None = None, *, method: str | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """The status and the content of an answer; a body is sent as JSON."""
    data = None if body is None else json.dumps(body).encode()
    sent = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
    try:
        with urllib.request.urlopen(sent, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def search(url: str, *experiments: str, **more: Any) -> list[dict[str, Any]]:
    """The runs that the page finds, as it is told of them."""
    status, content = ask(f"{url}/ajax-api/2.0/mlflow/runs/search", {"experiment_ids": experiments, **more})
    assert status == 200, content
    return list(json.loads(content).get("runs", []))


def files_of(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every file of a workspace, with its time and its content."""
    return {
        str(Path(folder, name)): (os.stat(Path(folder, name)).st_mtime_ns, Path(folder, name).read_bytes())
        for folder, _, names in os.walk(root)
        for name in names
    }
