"""The proof that packaging makes in the serving interpreter, in a real process."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path

import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from amlcore.compute import worker_process
from amlcore.environment.lock import installed_lock, pins
from amlcore.errors import BuildError, DeploymentError
from amlcore.model import Model
from amlcore.serving import proof_process
from amlcore.serving.deployment import Deployment
from amlcore.serving.locks import serving_lock
from amlcore.serving.packaging import service_settings
from amlcore.serving.proof_process import memory_warning, run_proof, summary, uses
from amlcore.serving.runtime import cores
from tests.support.serving_models import LOCK, package, register

DATA, LABELS = load_iris(return_X_y=True)
PYTHON = Path(sys.executable)


@pytest.mark.parametrize(
    ("estimator", "path"),
    [
        (LogisticRegression(max_iter=500), "linear"),
        (HistGradientBoostingClassifier(max_iter=50, random_state=0), "trees"),
        (SVC(), "onnx"),
    ],
    ids=["linear", "trees", "onnx"],
)
def test_a_bento_carries_the_proof_of_its_path(tmp_path, monkeypatch, capfd, estimator, path):
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "store"))
    sample = {"columns": None, "dtypes": None, "rows": DATA[:5].tolist()}
    model = register(tmp_path, estimator.fit(DATA, LABELS), sample_json=sample)
    deployment = Deployment(onnx=path == "onnx")
    report = run_proof(model, service_settings(model, deployment), python=PYTHON)
    assert report["candidates"][path]["equal"]
    assert report["candidates"][path]["rows"] > 3000
    assert {"1", "10", "100", "1000"} == set(report["candidates"][path]["microseconds"]["predict"])
    assert report["chosen"]["predict"][0][1] == path
    assert uses(report, "trees") == (path == "trees")
    assert 50 < report["memory_mb"] < 2000
    assert path in summary(report, Deployment())
    bento = package(model, Deployment(), serving_lock=LOCK, proof=report)
    assert json.loads((bento.path / "src" / "proof.json").read_text()) == report
    assert capfd.readouterr() == ("", "")


def test_a_model_that_its_interpreter_cannot_load_is_said_when_it_is_packaged(tmp_path):
    model = register(tmp_path, LogisticRegression(max_iter=500).fit(DATA, LABELS), trained_with="1.2.2")
    with pytest.raises(DeploymentError, match=r"cannot be served by .*trained with scikit-learn 1\.2\.2"):
        run_proof(model, service_settings(model, Deployment()), python=PYTHON)


def test_a_model_that_is_too_slow_to_be_compared_answers_by_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(proof_process, "TIMEOUT_S", 0.01)
    model = register(tmp_path, LogisticRegression(max_iter=500).fit(DATA, LABELS))
    report = run_proof(model, service_settings(model, Deployment()), python=PYTHON)
    assert (report["chosen"], report["memory_mb"]) == ({}, None)
    assert "answers with the model's own predict: the comparison took more than" in summary(report, Deployment())
    assert memory_warning(report, workers=4, memory_in_gb=0.1) is None


def test_only_conflicting_serving_packages_are_left_out_and_named(tmp_path):
    model = register(tmp_path, LogisticRegression(max_iter=500).fit(DATA, LABELS))
    (model.folder / "lock.txt").write_text("orjson==3.10.18\n")
    said: list[str] = []
    lock = serving_lock(
        Model.load_record(model.folder),
        ["orjson", "treelite"],
        cache=tmp_path / "cache",
        python=lambda: PYTHON,
        log=said.append,
    )
    assert "orjson==3.10.18" in lock
    assert "treelite==" in lock
    wish = f"orjson=={metadata.version('orjson')}"
    assert said == [f"skipping {wish}: it conflicts with the packages that sklearn-iris:1 was trained with"]


def test_a_resolved_lock_needs_no_index(tmp_path, monkeypatch):
    model = register(tmp_path, LogisticRegression(max_iter=500).fit(DATA, LABELS))
    (model.folder / "lock.txt").write_text("orjson==3.10.18\n")
    cache = tmp_path / "cache"

    def resolved() -> str:
        return serving_lock(model, ["treelite"], cache=cache, python=lambda: PYTHON, log=lambda _: None)

    first = resolved()
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")  # nobody listens there
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    assert resolved() == first
    (kept,) = cache.glob("locks/*.txt")
    kept.write_text(kept.read_text()[:-100])  # what is damaged is resolved anew
    with pytest.raises(BuildError, match="does not fit the locked packages"):
        resolved()


def test_a_lock_that_holds_all_is_not_resolved(tmp_path, monkeypatch):
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    model = register(tmp_path, LogisticRegression(max_iter=500).fit(DATA, LABELS))
    (model.folder / "lock.txt").write_text(installed_lock()[0])
    lock = serving_lock(model, ["orjson"], cache=tmp_path / "cache", python=lambda: PYTHON, log=lambda _: None)
    assert pins(lock) == pins(installed_lock()[0])


def test_too_little_memory_is_refused_with_the_amount_needed():
    report = {"memory_mb": 300}
    assert memory_warning(report, workers=4, memory_in_gb=None) is None
    assert memory_warning(report, workers=1, memory_in_gb=0.5) is None
    said = memory_warning(report, workers=4, memory_in_gb=0.5)
    assert said is not None
    assert "each needs 300 MB" in said
    assert "set at least 1.2, or fewer deployment.workers" in said


def test_a_service_limits_the_threads_of_the_same_libraries_as_a_run() -> None:
    assert cores.THREAD_VARIABLES == worker_process.THREAD_VARIABLES
