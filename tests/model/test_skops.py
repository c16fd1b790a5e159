"""Models in skops format: converted at registration, loaded with trusted types only, served like pickled ones."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.cluster import Birch, FeatureAgglomeration
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from amlcore.errors import ConfigError, ModelError
from amlcore.model import Model, Provenance, Registration, register
from amlcore.serving.deployment import Deployment
from amlcore.serving.packaging import service_settings
from amlcore.serving.runtime.errors import ModelFault
from amlcore.serving.runtime.packaged_model import PackagedModel
from amlcore.serving.runtime.predictor import Predictor

DATA, LABELS = load_iris(return_X_y=True)


@pytest.fixture
def provenance(tmp_path: Path) -> Provenance:
    (tmp_path / "run/outputs").mkdir(parents=True)
    return Provenance(
        run="r", experiment="e", folder=tmp_path / "run", interpreter=Path(sys.executable), lock="joblib==1.0\n"
    )


def forest(root: Path) -> RandomForestClassifier:
    model = RandomForestClassifier(5, random_state=0).fit(DATA, LABELS)
    joblib.dump(model, root / "run/outputs/model.joblib")
    return model


def served(root: Path, model: Model, settings: dict | None = None) -> PackagedModel:
    bento = root / "bento"
    bento.mkdir(exist_ok=True)
    if not (bento / "model").exists():
        (bento / "model").symlink_to(model.folder)
    written = {**service_settings(model, Deployment(name="any")), "scikit_learn": None, **(settings or {})}
    (bento / "service.json").write_text(json.dumps(written))
    return PackagedModel(bento)


def test_a_pickled_model_is_kept_and_served_in_skops_format(tmp_path: Path, provenance: Provenance) -> None:
    fitted = forest(tmp_path)
    model = register(Registration(name="m", format="skops"), provenance, models=tmp_path / "models")
    assert model.path == "model.skops"
    assert [file.name for file in (model.folder / "files").iterdir()] == ["model.skops"]
    assert model.last_step == "RandomForestClassifier"
    status, body = Predictor.load(served(tmp_path, model)).answer(
        "predict", json.dumps({"data": DATA.tolist()}).encode()
    )
    assert (status, json.loads(body)["predictions"]) == (200, fitted.predict(DATA).tolist())


def test_skops_builds_only_trusted_types(tmp_path: Path, provenance: Provenance) -> None:
    forest(tmp_path)
    model = register(Registration(name="m", format="skops"), provenance, models=tmp_path / "models")
    with pytest.raises(ModelFault, match=r"Untrusted types .*sklearn\.tree\._tree\.Tree"):
        Predictor.load(served(tmp_path, model, {"trusted_types": []}))


def test_a_script_may_write_skops_and_a_type_is_trusted_by_the_configuration(
    tmp_path: Path, provenance: Provenance
) -> None:
    fitted = make_pipeline(StandardScaler(), FeatureAgglomeration()).fit(DATA)  # that holds numpy.mean
    skops.io.dump(fitted, tmp_path / "run/outputs/model.skops")
    registration = Registration(name="m", path="outputs/model.skops")
    with pytest.raises(ModelError, match=r"numpy\.mean.*; list the types that you trust in model\.trusted_types"):
        register(registration, provenance, models=tmp_path / "models")
    registration.trusted_types = ["numpy.mean"]
    model = register(registration, provenance, models=tmp_path / "models")
    body = json.dumps({"data": DATA[:3].tolist()}).encode()
    status, answer = Predictor.load(served(tmp_path, model)).answer("transform", body)
    assert status == 200
    np.testing.assert_allclose(json.loads(answer)["transformed"], fitted.transform(DATA[:3]))


def test_a_model_that_skops_does_not_know_is_refused(tmp_path: Path, provenance: Provenance) -> None:
    joblib.dump(Birch().fit(DATA), tmp_path / "run/outputs/model.joblib")
    with pytest.raises(ModelError, match=r"model\.format=skops: outputs/model\.joblib cannot be written .*Birch"):
        register(Registration(name="m", format="skops"), provenance, models=tmp_path / "models")


def test_another_format_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.format='onnx': must be skops, or null"):
        Registration(name="m", format="onnx")
