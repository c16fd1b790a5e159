"""Every scikit-learn estimator that predicts or transforms: the service gives the same answers as the estimator."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import is_classifier
from sklearn.datasets import make_classification
from sklearn.utils import all_estimators
from sklearn.utils._test_common.instance_generator import _construct_instances
from threadpoolctl import threadpool_limits

from amlcore.serving.runtime.http.response import ANSWER_KEYS
from amlcore.serving.runtime.proof import proof
from tests.support.serving_models import packaged

DATA, LABELS = make_classification(60, 4, n_informative=3, n_redundant=0, random_state=0)
TEXTS = ["a good day", "a bad day", "one more good day", "nothing at all"] * 15
POSITIVE = np.abs(DATA)

INPUTS: dict[str, Any] = {
    **dict.fromkeys(("CountVectorizer", "TfidfVectorizer", "HashingVectorizer"), TEXTS),
    **dict.fromkeys(("IsotonicRegression",), DATA[:, :1]),
    **dict.fromkeys(("SparseCoder",), DATA[:, :3]),
}
TARGETS: dict[str, Any] = {
    **dict.fromkeys(
        ("MultiTaskElasticNet", "MultiTaskElasticNetCV", "MultiTaskLasso", "MultiTaskLassoCV"), DATA[:, :2]
    ),
    **dict.fromkeys(("CCA", "PLSCanonical", "PLSRegression", "PLSSVD", "MultiOutputRegressor"), DATA[:, 2:]),
    **dict.fromkeys(("RegressorChain",), DATA[:, 2:]),
    **dict.fromkeys(("GammaRegressor",), POSITIVE[:, 0] + 1),
    **dict.fromkeys(("ClassifierChain", "MultiOutputClassifier"), np.column_stack([LABELS, DATA[:, 0] > 0])),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "DummyClassifier": {"strategy": "prior"},  # the default of scikit-learn's own tests draws lots
    "HashingVectorizer": {"n_features": 64},
    "GaussianRandomProjection": {"n_components": 2},
    "SparseRandomProjection": {"n_components": 2},
}
NO_ROWS_OF_VALUES = {
    "DictVectorizer": "rows are dictionaries of any keys",
    "FeatureHasher": "rows are dictionaries or lists of any length",
    "PatchExtractor": "rows are images",
    "LabelBinarizer": "made for targets",
    "LabelEncoder": "made for targets",
    "MultiLabelBinarizer": "made for targets",
    "KernelCenterer": "rows are a square kernel",
}


def estimators() -> list[Any]:
    found = []
    for name, kind in all_estimators():
        if name in NO_ROWS_OF_VALUES or not (hasattr(kind, "predict") or hasattr(kind, "transform")):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # deprecated ones are still served
            found.append(pytest.param(next(iter(_construct_instances(kind))), id=name))
    return found


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """As a service has: scikit-learn's own threads wait for each other where other tests take the cores."""
    with threadpool_limits(1):
        yield


@pytest.fixture(autouse=True)
def _a_short_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "SYNTHETIC_ROWS", 60)
    monkeypatch.setattr(proof, "SINGLY", 5)
    monkeypatch.setattr(proof, "SIZES", (1, 10))
    monkeypatch.setattr(proof, "AT_THRESHOLDS", 200)


@pytest.mark.parametrize("estimator", estimators())
@pytest.mark.filterwarnings("ignore")
def test_an_estimator_is_answered_as_by_itself(tmp_path: Path, estimator: Any) -> None:
    name = type(estimator).__name__
    given = INPUTS.get(name, POSITIVE)
    estimator.set_params(**OPTIONS.get(name, {})).fit(given, TARGETS.get(name, LABELS))
    methods = [method for method in ANSWER_KEYS if hasattr(estimator, method)]
    if not {"predict", "transform"} & set(methods):
        pytest.skip("it predicts only what it was fitted on")
    service = packaged(tmp_path, estimator, sample_rows=None if given is TEXTS else given[:5].tolist())
    rows = given[:7] if given is TEXTS else given[:7].tolist()
    general = "predict" if "predict" in methods else "transform"
    for method in methods:
        for count in (7, 1):
            expected = getattr(estimator, method)(given[:count])
            if "SparsePCA" in name:  # which leaves out the row of one
                expected = expected.reshape(count, -1)
            status, body = service.answer(general, json.dumps({"data": rows[:count], "method": method}).encode())
            answer = json.loads(body)
            assert status == 200, answer
            _require_equal(answer[ANSWER_KEYS[method]], expected)
        if is_classifier(estimator) and method == "predict_proba":
            assert "classes" in answer


def _require_equal(actual: Any, expected: Any) -> None:
    if isinstance(expected, list):  # one array an output
        expected = np.stack([np.asarray(output) for output in expected], axis=1)
    expected = expected.toarray() if hasattr(expected, "toarray") else np.asarray(expected)
    actual = np.asarray(actual)
    assert actual.shape == expected.shape
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(actual.astype(float), expected, rtol=1e-9, atol=1e-12)
    else:
        assert actual.tolist() == expected.tolist()
