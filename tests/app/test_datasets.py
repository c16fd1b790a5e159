"""Real data: each shipped script runs, and its model is registered, packaged and served over HTTP."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import train_test_split

from tests.support.aml import Aml

SCRIPTS = Path(__file__).parents[2] / "scripts"
START_S = 60.0


@dataclass(frozen=True)
class Trained:
    """A run with the model that it registered."""

    run: dict[str, Any]
    model: Any

    @property
    def metrics(self) -> dict[str, Any]:
        metrics = self.run["metrics"]
        assert isinstance(metrics, dict)
        return metrics

    def series(self, name: str) -> list[Any]:
        return [(record["step"], record["value"]) for record in self.run["series"] if record["name"] == name]


@pytest.fixture
def home(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A BentoML store of its own beside a project that holds the shipped scripts."""
    shutil.copytree(SCRIPTS, project / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "bentoml"))
    return tmp_path / "bentoml"


def train(aml: Aml, *overrides: str) -> Trained:
    """The run of `aml run OVERRIDES`, and its model as joblib loads it in this process."""
    aml("run", *overrides)
    run = aml("show", "latest", "--json").json
    assert run["state"] == "Completed"
    return Trained(run, joblib.load(Path(run["folder"]) / "outputs/model.joblib"))


@contextmanager
def serving(service: str, home: Path) -> Iterator[httpx.Client]:
    """`bentoml serve SERVICE:latest` on a free port, ended with all its processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).parent / "bentoml", "serve", f"{service}:latest"]
    with (home / f"{service}.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
            wait_until_ready(server, client, log=home / f"{service}.log")
            yield client
    finally:
        server.terminate()
        try:
            server.wait(30)
        finally:
            remaining_processes = processes_of(home)
            for process in remaining_processes:
                os.kill(process, signal.SIGKILL)
            server.wait()
    assert not remaining_processes


def wait_until_ready(server: subprocess.Popen[bytes], client: httpx.Client, *, log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and server.poll() is None:
        with suppress(httpx.TransportError):
            if client.get("/readyz").status_code == 200:
                return
        time.sleep(0.1)
    raise AssertionError(f"not ready:\n{log.read_text()}")


def processes_of(home: Path) -> list[int]:
    """The living processes that were started with this BentoML store, except this one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if process.name != str(os.getpid()) and str(home).encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


def ask(client: httpx.Client, data: Any, *, method: str = "predict") -> Any:
    answer = client.post(f"/{method}", json={"data": data})
    assert answer.status_code == 200, answer.text
    return answer.json()


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as a client sends them: a missing value is null."""
    rows = json.loads(frame.to_json(orient="records", double_precision=15))
    assert isinstance(rows, list)
    return rows


@pytest.mark.slow
def test_iris_from_script_to_answers(aml: Aml, home: Path) -> None:
    trained = train(aml, "experiment=iris")

    assert trained.metrics == {"Kernel type": "linear", "Penalty": 1.0, "Accuracy": 37 / 38}
    ((_, matrix),) = trained.series("Confusion matrix")
    assert matrix["data"]["matrix"] == [[13, 0, 0], [0, 15, 1], [0, 0, 9]]
    assert trained.run["model"] == "sklearn-iris:1"
    assert trained.run["environment"]["name"] == "sklearn"
    assert Path(trained.run["environment"]["python"]) != Path(sys.executable)
    rows = load_iris().data
    with serving("sklearn-iris", home) as client:
        assert ask(client, rows.tolist()) == {
            "predictions": trained.model.predict(rows).tolist(),
            "model": "sklearn-iris",
            "version": 1,
        }
        assert client.post("/predict_proba", json={"data": rows.tolist()}).status_code == 404


@pytest.mark.slow
def test_breast_cancer_from_script_to_probabilities(aml: Aml, home: Path) -> None:
    trained = train(aml, "script=train_breast_cancer", "model=sklearn", "model.name=breast-cancer", "deployment=bento")

    folds = trained.series("fold accuracy")
    assert [step for step, _ in folds] == [0, 1, 2, 3, 4]
    assert trained.metrics["Accuracy"] == pytest.approx(np.mean([score for _, score in folds]))
    assert trained.metrics["Accuracy"] > 0.97
    rows = load_breast_cancer(as_frame=True).data
    with serving("breast-cancer", home) as client:
        assert ask(client, rows.to_numpy().tolist())["predictions"] == trained.model.predict(rows).tolist()
        some = rows.sample(20, random_state=0)
        answer = ask(client, records(some), method="predict_proba")
        expected = trained.model.predict_proba(some)
        np.testing.assert_allclose(answer["probabilities"], expected, rtol=1e-12)
        assert answer["classes"] == [0, 1]


@pytest.mark.slow
def test_penguins_from_a_csv_to_estimates(project: Path, aml: Aml, home: Path) -> None:
    csv = project / "scripts/penguins/penguins.csv"
    csv = csv.rename(project / "elsewhere.csv")

    trained = train(aml, "experiment=penguins", "script.inputs.penguins=elsewhere.csv")

    assert trained.run["inputs"]["penguins"]["path"] == str(csv)
    assert trained.run["parameters"] == {"data": "${input:penguins}", "alpha": 1.0}
    assert list((Path(trained.run["folder"]) / "images").glob("*.png"))
    penguins = pd.read_csv(csv)
    rows = penguins.drop(columns="body_mass_g")
    assert rows.isna().any(axis=None)
    complete_rows = penguins.dropna(subset=["body_mass_g"])
    _, test = train_test_split(complete_rows, random_state=0)
    estimates = trained.model.predict(test.drop(columns="body_mass_g"))
    assert trained.metrics == {
        "R2": pytest.approx(r2_score(test["body_mass_g"], estimates)),
        "MAE": pytest.approx(mean_absolute_error(test["body_mass_g"], estimates)),
    }
    assert trained.metrics["R2"] > 0.8
    with serving("penguins-mass", home) as client:
        assert_estimates(client, rows, trained.model)
        assert_estimates(client, rows[rows.columns[::-1]], trained.model)
        for column in rows.columns:
            gap = rows.head(1).assign(**{column: rows[column].head(1).mask([True])})
            assert_estimates(client, gap, trained.model)
        stranger = rows.iloc[[0]].assign(species="Emperor", island="Snow Hill")
        assert_estimates(client, stranger, trained.model)
        missing = client.post("/predict", json={"data": records(rows.drop(columns="sex").head(1))})
        assert (missing.status_code, missing.json()["error"]["column"]) == (422, "sex")


def assert_estimates(client: httpx.Client, frame: pd.DataFrame, model: Any) -> None:
    """The service's answer to the rows as records, in the frame's order of columns, is the model's own."""
    answer = ask(client, records(frame))["predictions"]
    assert answer == pytest.approx(model.predict(frame[model.feature_names_in_]).tolist(), rel=1e-12)


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*/train_*.py")), ids=lambda script: script.stem)
def test_a_shipped_script_runs_by_plain_python(script: Path, tmp_path: Path, aml: Aml) -> None:
    said = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )

    assert said.stdout
    assert "Warning" not in said.stderr
    assert hasattr(joblib.load(tmp_path / "outputs/model.joblib"), "predict")
    (run,) = aml("runs", "--json", cwd=tmp_path).json
    assert (run["experiment"], run["state"]) == (script.stem, "Completed")
    assert run["metrics"]
