"""Predict paths: equal to the model wherever they are used, and dropped where they are not."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.compose import make_column_selector as selector
from sklearn.datasets import load_iris, make_classification, make_regression
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, LinearSVC
from threadpoolctl import threadpool_limits

from amlcore.serving.runtime.inputs.signature import Signature
from amlcore.serving.runtime.packaged_model import PackagedModel
from amlcore.serving.runtime.paths.linear import Classification
from amlcore.serving.runtime.paths.trees import Trees, trees
from amlcore.serving.runtime.paths.unchecked import UncheckedScorer
from amlcore.serving.runtime.predictor import Predictor
from amlcore.serving.runtime.proof import proof
from amlcore.serving.runtime.proof.synthetic_rows import around
from tests.support.serving_models import iris, mixed_pipeline, packaged

pytestmark = pytest.mark.filterwarnings("ignore")

DATA, LABELS = make_classification(200, 5, n_informative=4, n_redundant=0, n_classes=3, random_state=0)
NUMBERS, TARGET = make_regression(200, 5, noise=1.0, random_state=0)
BINARY = LABELS > 0
GAPS = np.where(np.random.default_rng(0).random(DATA.shape) < 0.1, np.nan, DATA)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """As a service has: scikit-learn's own threads wait for each other where other tests take the cores."""
    with threadpool_limits(1):
        yield


@pytest.fixture(autouse=True)
def _a_short_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "SYNTHETIC_ROWS", 300)
    monkeypatch.setattr(proof, "SINGLY", 10)
    monkeypatch.setattr(proof, "SIZES", (1, 10))
    monkeypatch.setattr(proof, "AT_THRESHOLDS", 2000)


def make_proof(
    estimator: Any, columns: list[str] | None = None, dtypes: list[str] | None = None, *, with_onnx: bool = False
) -> dict[str, Any]:
    signature = {"n_features": getattr(estimator, "n_features_in_", None), "columns": columns, "dtypes": dtypes}
    return proof.make_proof(estimator, Signature(signature, None), [], with_onnx=with_onnx)


@pytest.mark.parametrize(
    ("estimator", "data", "target", "path"),
    [
        (LogisticRegression(), DATA, LABELS, "linear"),
        (LogisticRegression(), DATA, BINARY, "linear"),
        (LogisticRegression(solver="liblinear"), DATA, BINARY, "linear"),
        (LinearSVC(), DATA, LABELS, "linear"),
        (LinearSVC(fit_intercept=False), DATA, LABELS, "linear"),
        (SGDClassifier(loss="log_loss", random_state=0), DATA, LABELS, "linear"),
        (SGDClassifier(loss="modified_huber", random_state=0), DATA, LABELS, "linear"),
        (SGDClassifier(loss="modified_huber", random_state=0), DATA * 1e3, BINARY, "linear"),
        (LinearRegression(), NUMBERS, TARGET, "linear"),
        (Ridge(), NUMBERS, np.column_stack([TARGET, -TARGET]), "linear"),
        (Lasso(), NUMBERS, TARGET, "linear"),
        (make_pipeline(StandardScaler(), MinMaxScaler(), LogisticRegression()), DATA, LABELS, "linear"),
        (GridSearchCV(LogisticRegression(), {"C": [1.0, 2.0]}), DATA, LABELS, "linear"),
        (RandomForestClassifier(20, random_state=0), DATA, LABELS, "trees"),
        (RandomForestClassifier(20, max_depth=3, random_state=0), DATA, np.array(["a", "b", "c"])[LABELS], "trees"),
        (RandomForestRegressor(20, random_state=0), NUMBERS, np.column_stack([TARGET, -TARGET]), "trees"),
        (ExtraTreesClassifier(20, random_state=0), GAPS, LABELS, "trees"),
        (ExtraTreesClassifier(20, random_state=0), GAPS, np.array(["a", "b", "c"])[LABELS], "forest"),
        (RandomForestRegressor(20, random_state=0), NUMBERS, TARGET, "forest"),
        (GradientBoostingClassifier(n_estimators=20, random_state=0), DATA, LABELS, "trees"),
        (GradientBoostingRegressor(n_estimators=20, random_state=0), NUMBERS, TARGET, "trees"),
        (HistGradientBoostingClassifier(max_iter=20, random_state=0), GAPS, LABELS, "trees"),
        (HistGradientBoostingClassifier(max_iter=20, random_state=0), GAPS, BINARY, "trees"),
        (GradientBoostingClassifier(n_estimators=20, loss="exponential"), DATA, BINARY, "trees"),
        (HistGradientBoostingRegressor(max_iter=20, random_state=0), NUMBERS, TARGET, "trees"),
        (HistGradientBoostingRegressor(max_iter=20, loss="poisson"), NUMBERS, np.abs(TARGET), "trees"),
        (SVC(), DATA, LABELS, "unchecked"),
        (make_pipeline(StandardScaler(), SVC()), DATA, LABELS, "unchecked"),
    ],
    ids=lambda value: str(value) if hasattr(value, "fit") else "",
)
def test_a_known_model_has_its_path(estimator: Any, data: Any, target: Any, path: str) -> None:
    report = make_proof(estimator.fit(data, target))
    assert report["candidates"][path]["equal"], report["candidates"]
    assert report["candidates"][path]["rows"] >= proof.SYNTHETIC_ROWS


def test_a_path_that_differs_in_one_bit_that_matters_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    forest = RandomForestClassifier(20, max_depth=4, random_state=0).fit(DATA, LABELS)
    original = Trees.score

    def without_rounding(self: Trees, method: str, matrix: Any) -> Any:
        self._rounds = False
        return original(self, method, matrix)

    monkeypatch.setattr(Trees, "score", without_rounding)
    report = make_proof(forest)
    assert not report["candidates"]["trees"]["equal"]
    assert "thresholds" in report["candidates"]["trees"]["because"]
    assert "trees" not in json.dumps(report["chosen"])


@pytest.mark.parametrize(
    ("estimator", "data", "target"),
    [
        (make_pipeline(StandardScaler(), MLPClassifier((9,), max_iter=20, random_state=0)), DATA, LABELS),
        (MLPRegressor(hidden_layer_sizes=(9,), max_iter=20, random_state=0), NUMBERS, TARGET),
        (SVC(), DATA, np.array(["a", "b", "c"])[LABELS]),
        (CalibratedClassifierCV(LinearSVC(), cv=2), DATA, BINARY),
    ],
    ids=lambda value: str(value) if hasattr(value, "fit") else "",
)
def test_onnx_runtime_answers_for_what_has_no_path_of_its_own(estimator: Any, data: Any, target: Any) -> None:
    report = make_proof(estimator.fit(data, target), with_onnx=True)
    assert report["candidates"]["onnx"]["equal"], report["candidates"]
    assert report["chosen"]["predict"][0][1] == "onnx"
    assert "onnx" not in make_proof(estimator)["candidates"]


def test_onnx_runtime_is_dropped_where_it_does_not_verify() -> None:
    """Its neighbours weigh otherwise, and what has a path of its own is not tried."""
    weighted = KNeighborsClassifier(weights="distance").fit(DATA, LABELS)
    assert make_proof(weighted, with_onnx=True)["candidates"]["onnx"]["equal"] is False
    assert "onnx" not in make_proof(LogisticRegression().fit(DATA, LABELS), with_onnx=True)["candidates"]


def test_a_tiny_probability_is_compared_as_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Off by less than the last bit of 1, and by far more than 1e-9 of itself."""
    original = Classification.score

    def without_the_smallest(self: Classification, method: str, matrix: Any) -> Any:
        answer = original(self, method, matrix)
        return np.maximum(answer, 1e-17) if method == "predict_proba" else answer

    monkeypatch.setattr(Classification, "score", without_the_smallest)
    report = make_proof(LogisticRegression().fit(DATA, LABELS))
    assert "off by" in report["candidates"]["linear"]["because"]


@pytest.mark.parametrize("kind", [GradientBoostingClassifier, HistGradientBoostingClassifier])
def test_the_smaller_of_two_probabilities_is_the_same_to_the_last_bit(kind: Any) -> None:
    model = kind(learning_rate=0.5, random_state=0).fit(DATA, BINARY)
    scorer = trees(model, UncheckedScorer(model))
    assert scorer is not None
    np.testing.assert_array_equal(scorer.score("predict_proba", DATA), model.predict_proba(DATA))
    assert scorer.score("predict_proba", DATA).min() < 1e-4


def test_a_row_alone_is_compared_with_the_model_asked_of_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As matrix products may, this one answers a little otherwise where it is asked of many rows at once."""

    class Blocked(LogisticRegression):
        def predict_proba(self, rows: Any) -> Any:
            found = super().predict_proba(rows)
            return found * (1 + 1e-8) if len(found) > 1 else found

    report = make_proof(Blocked().fit(DATA, LABELS))
    assert report["candidates"]["unchecked"]["equal"], report["candidates"]
    assert {path for _, path in report["chosen"]["predict_proba"]} == {"unchecked"}


def test_one_row_of_plain_numbers_is_compared_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Classification, "_label", lambda self, _: self._each[0])
    report = make_proof(LogisticRegression().fit(DATA, LABELS))
    assert "another label" in report["candidates"]["linear"]["because"]


@pytest.mark.parametrize("binary", [False, True])
def test_one_row_is_answered_as_by_the_model_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, binary: Any
) -> None:
    data, labels = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=500).fit(data, labels > 0 if binary else labels)
    plain, found, label = [f"[[{','.join(map(str, row))}]]" for row in data], [], Classification._label
    monkeypatch.setattr(Classification, "_label", lambda self, row: found.append(row) or label(self, row))
    quick, slow = (packaged(tmp_path / str(proven), model, proven=proven) for proven in (True, False))
    found.clear()
    strange = ["[[1e39, 1, 1, 1]]", "[[1e400, 1, 1, 1]]", "[[-1e39, 1, 1, 1]]", f"[[{10**400}, 1, 1, 1]]"]
    wrong = ["[]", "[[]]", "{}", "5", "[[1, 2, 3]]", "[[{}, {}, {}, {}]]", "[[[], [], [], []]]", "[[1, [], 1, 1]]"]
    for rows in (*plain, "[[1, 0, 2, 3]]", "[5, 3, 1, 0.5]", *strange, *wrong):
        body = f'{{"data": {rows}}}'.encode()
        assert quick.answer("predict", body) == slow.answer("predict", body), rows
    assert len(found) == len(plain) + 1


def test_a_path_that_raises_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(Classification, "score", fail)
    report = make_proof(LogisticRegression().fit(DATA, LABELS))
    assert report["candidates"]["linear"] == {"equal": False, "because": "ZeroDivisionError: by nothing"}
    assert report["chosen"]["predict"][-1] == [None, "unchecked"]


def test_an_unsupported_model_answers_without_a_fast_path() -> None:
    class Own:
        n_features_in_ = 5

        def fit(self, rows: Any, labels: Any) -> Own:
            return self

        def transform(self, rows: Any) -> Any:
            return np.asarray(rows)

    report = make_proof(make_pipeline(Own(), LogisticRegression()).fit(DATA, LABELS))
    assert (report["chosen"], report["candidates"]) == ({}, {})
    assert "not supported" in report["because"]


def test_outputs_with_other_numbers_of_classes_are_compared() -> None:
    report = make_proof(RandomForestClassifier(5, random_state=0).fit(DATA, np.column_stack([LABELS, LABELS > 0])))
    assert report["because"] is None
    assert report["chosen"]


def test_a_slow_model_is_compared_on_fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "COMPARED_S", 0.0)
    report = make_proof(LogisticRegression().fit(DATA, LABELS))
    assert report["candidates"]["linear"] | {"microseconds": None} == {
        "equal": True,
        "rows": proof.FEW + proof.LOOSE,
        "microseconds": None,
    }


def test_test_values_include_neighbours_and_the_float32_rounding() -> None:
    near = around(0.1)
    assert {np.nextafter(0.1, 1), np.nextafter(0.1, 0), 0.1, float(np.float32(0.1))} <= set(near)
    assert len(near) == 6


def test_a_service_whose_path_differs_here_warns_and_answers_by_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    data, labels = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=500).fit(data, labels)
    original = proof.make_proof

    def broken_afterwards(*arguments: Any) -> Any:
        report = original(*arguments)
        score = Classification.score
        monkeypatch.setattr(Classification, "score", lambda self, method, rows: score(self, method, -rows))
        return report

    monkeypatch.setattr("tests.support.serving_models.make_proof", broken_afterwards)
    with caplog.at_level(logging.WARNING, "bentoml.serve"):
        service = packaged(tmp_path, model)
    assert "no fast path is used" in caplog.text
    status, body = service.answer("predict", json.dumps({"data": data[:3].tolist()}).encode())
    assert (status, json.loads(body)["predictions"]) == (200, model.predict(data[:3]).tolist())


def test_a_service_without_treelite_warns_and_answers_by_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    boosting = HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(DATA, LABELS)
    assert packaged(tmp_path, boosting, sample_rows=DATA[:5].tolist())._fast_paths is not None
    monkeypatch.setitem(sys.modules, "treelite.sklearn", None)
    with caplog.at_level(logging.WARNING, "bentoml.serve"):
        service = Predictor.load(PackagedModel(tmp_path / "bento"))
    assert "'trees' is not available in this environment" in caplog.text
    status, body = service.answer("predict", json.dumps({"data": DATA[:3].tolist()}).encode())
    assert (status, json.loads(body)["predictions"]) == (200, boosting.predict(DATA[:3]).tolist())


def test_a_service_without_orjson_answers_the_same(tmp_path: Path) -> None:
    packaged(tmp_path, iris(), proven=False)
    script = """
import json, sys
from pathlib import Path
if sys.argv[2] == "without":
    sys.modules["orjson"] = None
from amlcore.serving.runtime.packaged_model import PackagedModel
from amlcore.serving.runtime.predictor import Predictor
service = Predictor.load(PackagedModel(Path(sys.argv[1])))
for data in ("[[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]", "[[5.1, 3.5]]", "[[5.1,"):
    status, body = service.answer("predict", b'{"data": %s}' % data.encode())
    print(status, json.loads(body))
"""
    said = [
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "bento"), how], capture_output=True, text=True, check=False
        )
        for how in ("with", "without")
    ]
    assert said[0].stdout.startswith("200 {'predictions': [0, 2]"), said[0].stderr
    assert said[1].stdout.splitlines()[:2] == said[0].stdout.splitlines()[:2], said[1].stderr
    assert [line[:3] for line in said[1].stdout.splitlines()] == ["200", "422", "400"]


def table() -> tuple[pd.DataFrame, Any]:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": random.normal(size=120),
            "count": random.integers(0, 5, 120),
            "colour": pd.Series(random.choice(["red", "green", "blue", ""], 120)).replace("", np.nan),
            "grade": random.choice(["low", "middle", "high"], 120),
            "open": random.integers(0, 2, 120).astype(bool),
        }
    )
    frame.loc[random.integers(0, 120, 12), "size"] = np.nan
    return frame, random.integers(0, 2, 120)


def prepared(last: Any, *, unknown: str = "ignore") -> Any:
    grades = OrdinalEncoder(categories=[["low", "middle", "high"]])
    colours = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown=unknown))
    steps = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["size"]),
            ("counts", OneHotEncoder(handle_unknown="ignore", drop=None), ["count"]),
            ("colours", colours, ["colour"]),
            ("grades", grades, ["grade"]),
        ],
        remainder="passthrough",
    )
    frame, labels = table()
    return make_pipeline(steps, last).fit(frame, labels)


@pytest.mark.parametrize("last", [LogisticRegression(), HistGradientBoostingClassifier(max_iter=10, random_state=0)])
@pytest.mark.parametrize("unknown", ["ignore", "error"])
def test_rows_of_a_table_are_prepared_without_it(tmp_path: Path, last: Any, unknown: str) -> None:
    frame, _ = table()
    model = prepared(last, unknown=unknown)
    service = packaged(tmp_path, model, name="table", frame=frame)
    assert service._fast_paths is not None, service
    records = json.loads(frame.to_json(orient="records"))
    columns = {name: [record[name] for record in records] for name in reversed(list(frame.columns))}
    expected = model.predict_proba(frame)
    for data in (records, [list(record.values()) for record in records], columns):
        body = json.dumps({"data": data, "method": "predict_proba"}).encode()
        status, answer = service.answer("predict", body)
        assert status == 200, answer
        np.testing.assert_allclose(json.loads(answer)["probabilities"], expected, rtol=1e-9)
    for record, label in zip(records[:20], model.predict(frame)[:20].tolist(), strict=True):
        status, answer = service.answer("predict", json.dumps({"data": record}).encode())
        assert json.loads(answer)["predictions"] == [label]
    status, answer = service.answer("predict", json.dumps({"data": {**records[0], "colour": "mauve"}}).encode())
    assert status == (200 if unknown == "ignore" else 422)
    status, answer = service.answer("predict", json.dumps({"data": {**records[0], "grade": "best"}}).encode())
    assert status == 422
    assert "'best'" in json.loads(answer)["error"]["message"]


NUMBERS_STEP = ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["size"])
IGNORE = OneHotEncoder(handle_unknown="ignore")
NUMERIC, OTHER = selector(dtype_include=np.number), selector(dtype_exclude=np.number)
NESTED = ColumnTransformer([("n", SimpleImputer(), ["size", "count"]), ("c", IGNORE, ["grade"])])
RARE = {"handle_unknown": "infrequent_if_exist"}
CODES = {"handle_unknown": "use_encoded_value", "unknown_value": -1, "encoded_missing_value": -2}


@pytest.mark.parametrize(
    ("parts", "options", "last"),
    [
        ([NUMBERS_STEP, ("c", OneHotEncoder(drop="first"), ["grade"])], {}, LogisticRegression()),
        ([("c", OneHotEncoder(drop="if_binary"), ["grade", "open"])], {}, LogisticRegression()),
        ([NUMBERS_STEP, ("c", IGNORE, ["colour", "grade"])], {"sparse_threshold": 1.0}, LogisticRegression()),
        (
            [("c", OrdinalEncoder(**CODES), ["colour", "count"])],
            {},
            RandomForestClassifier(9),
        ),
        ([("n", SimpleImputer(add_indicator=True), ["size", "count"])], {}, LogisticRegression()),
        ([("c", OneHotEncoder(min_frequency=35, **RARE), ["colour", "count", "grade"])], {}, LogisticRegression()),
        ([("c", OneHotEncoder(max_categories=2, drop="first", **RARE), ["count"])], {}, LogisticRegression()),
        ([("c", OneHotEncoder(max_categories=3, handle_unknown="ignore"), ["count"])], {}, LogisticRegression()),
        ([("c", OrdinalEncoder(max_categories=3, **CODES), ["colour", "count"])], {}, RandomForestClassifier(9)),
        ([("c", TargetEncoder(random_state=0), ["colour", "count", "grade"])], {}, LogisticRegression()),
        ([("n", SimpleImputer(), [0, -4]), ("c", IGNORE, slice(2, 4))], {}, LogisticRegression()),
        ([("n", SimpleImputer(), [True, True, False, False, False])], {}, LogisticRegression()),
        ([("c", make_pipeline(SimpleImputer(strategy="constant", fill_value="?"), IGNORE), ["colour"])], {}, SVC()),
        ([("n", make_pipeline(SimpleImputer(), PolynomialFeatures(2)), ["size", "count"])], {}, LogisticRegression()),
        ([("n", MissingIndicator(features="all"), ["size", "count"])], {}, LogisticRegression()),
        ([("c", OneHotEncoder(), ["count", "open"])], {}, LogisticRegression()),
        ([("n", SimpleImputer(), slice("size", "count")), ("c", IGNORE, ["grade"])], {}, LogisticRegression()),
        ([NUMBERS_STEP, ("c", IGNORE, ["grade"])], {"transformer_weights": {"c": 3.0}}, LogisticRegression()),
        ([("n", NESTED, ["grade", "count", "size"])], {}, LogisticRegression()),
        (
            [
                (
                    "n",
                    make_pipeline(SimpleImputer(), MinMaxScaler(clip=True), RobustScaler()),
                    selector(dtype_include=np.number),
                ),
                ("c", IGNORE, OTHER),
            ],
            {},
            LogisticRegression(),
        ),
    ],
)
def test_a_preparation_is_equal_to_its_transformers(parts: Any, options: Any, last: Any) -> None:
    frame, labels = table()
    model = make_pipeline(ColumnTransformer(parts, **options), last).fit(frame, labels)
    dtypes, columns = [str(dtype) for dtype in frame.dtypes], list(frame.columns)
    rows = json.loads(frame.head(5).to_json(orient="values"))
    signature = {"n_features": 5, "columns": columns, "dtypes": dtypes}
    report = proof.make_proof(model, Signature(signature, {**signature, "rows": rows}), rows)
    assert report["because"] is None
    assert {name: found["equal"] for name, found in report["candidates"].items() if not found["equal"]} == {}
    assert "unchecked" in report["candidates"]


def test_names_lead_through_transformers_that_give_tables(tmp_path: Path) -> None:
    frame, labels = table()
    first = ColumnTransformer([NUMBERS_STEP, ("c", OrdinalEncoder(), ["grade"])], verbose_feature_names_out=False)
    second = ColumnTransformer([("c", OneHotEncoder(sparse_output=False), ["grade"])], remainder="passthrough")
    model = make_pipeline(first, second, LogisticRegression()).set_output(transform="pandas").fit(frame, labels)
    service = packaged(tmp_path, model, frame=frame)
    assert service._fast_paths is not None
    rows = json.loads(frame.to_json(orient="values"))
    answer = service.answer("predict", json.dumps({"data": rows, "method": "predict_proba"}).encode())[1]
    np.testing.assert_allclose(json.loads(answer)["probabilities"], model.predict_proba(frame), rtol=1e-9)


def test_an_encoder_tells_that_a_column_without_a_type_holds_truth_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, labels = table()
    model = make_pipeline(ColumnTransformer([("c", OneHotEncoder(), ["open", "count"])]), LogisticRegression())
    service = packaged(
        tmp_path, model.fit(frame[["open", "count"]], labels), frame=frame[["open", "count"]], sample=False
    )
    expected = model.predict(frame[["open", "count"]])[:9].tolist()
    rows = frame[["open", "count"]][:9].to_numpy(dtype=object).tolist()
    assert service.answer("predict", json.dumps({"data": [[True, 77]]}).encode())[0] == 422
    monkeypatch.setattr(service, "_reference", None)  # by the faster path or not at all
    status, answer = service.answer("predict", json.dumps({"data": rows}).encode())
    assert (status, json.loads(answer).get("predictions")) == (200, expected)


def test_an_overflow_during_preparation_is_refused_as_by_the_model(tmp_path: Path) -> None:
    """The last step would not look: its checks of the prepared numbers are left out."""
    model = make_pipeline(PolynomialFeatures(9), LogisticRegression()).fit(DATA[:, :2] / 10, LABELS)
    service = packaged(tmp_path, model, sample_rows=DATA[:5, :2].tolist())
    assert service._fast_paths is not None
    status, body = service.answer("predict", json.dumps({"data": [1e37] * 2}).encode())
    assert status == 422
    with pytest.raises(ValueError, match="infinity") as refusal:
        model.predict([[1e37] * 2])
    assert str(refusal.value).splitlines()[0] in json.loads(body)["error"]["message"]


@pytest.mark.parametrize("kind", [HistGradientBoostingClassifier, HistGradientBoostingRegressor])
def test_boosting_codes_its_own_categories(kind: Any) -> None:
    frame, labels = table()
    given_frame = frame[["size", "colour", "count", "grade"]].astype({"colour": "category", "grade": "category"})
    model = kind(max_iter=20, categorical_features="from_dtype", min_samples_leaf=5).fit(given_frame, labels)
    dtypes, columns = [str(dtype) for dtype in given_frame.dtypes], list(given_frame.columns)
    report = make_proof(model, columns, dtypes)
    assert report["candidates"]["trees"]["equal"], report
    assert report["candidates"]["unchecked"]["equal"], report
    codes = np.column_stack([DATA, np.arange(200) % 7])
    report = make_proof(kind(max_iter=20, categorical_features=[5]).fit(codes, BINARY))
    assert report["candidates"]["trees"]["equal"], report


def test_unsupported_preparations_are_left_to_the_model() -> None:
    """Here the means of several targets a category."""
    grades = table()[0][["grade"]]
    model = make_pipeline(TargetEncoder(random_state=0), LogisticRegression()).fit(grades, LABELS[:120])
    report = make_proof(model, ["grade"], ["str"])
    assert (report["chosen"], report["candidates"]) == ({}, {})


texts = st.sampled_from(["S", "C", "x"])
values = st.none() | st.booleans() | st.integers() | st.floats(width=32) | st.floats() | texts
rows = st.lists(st.lists(values, min_size=4, max_size=4), min_size=1, max_size=3)
plain_rows = st.lists(
    st.tuples(st.none() | st.floats(-100, 100), st.integers(0, 5), st.none() | texts, st.booleans()).map(list),
    min_size=1,
    max_size=3,
)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two services of each model, with paths and without."""
    estimator, frame = mixed_pipeline()
    root = tmp_path_factory.mktemp("both")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(proof, "SIZES", (1, 10))
        flowers = [packaged(root / f"iris{proven}", iris(), proven=proven) for proven in (True, False)]
        people = [
            packaged(root / f"people{proven}", estimator, name="people", frame=frame, proven=proven)
            for proven in (True, False)
        ]
    return {"iris": flowers, "people": people}


@pytest.mark.parametrize("model", ["iris", "people"])
@given(data=rows | plain_rows)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_fast_paths_answer_every_row_as_the_model_does(both: Any, model: str, data: Any) -> None:
    """Neither a refusal nor a value that one takes and the other does not."""
    body = json.dumps({"data": data}).encode()
    (status, quick), (expected, slow) = (service.answer("predict", body) for service in both[model])
    assert status == expected
    assert json.loads(quick) == json.loads(slow)


@pytest.mark.parametrize("data", [[], {}, [[]], [{}], "columns", [[{}] * 4], [[[]] * 4]])
def test_a_path_leaves_what_is_empty_without_a_word(both: Any, data: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What fails in a path is a traceback in the log, which no request should make."""
    service = both["people"][0]
    if data == "columns":
        data = {name: [] for name in service._signature.names}
    assert service.answer("predict", json.dumps({"data": data}).encode())[0] == 422
    assert caplog.text == ""


def test_the_paths_are_in_use(both: Any) -> None:
    assert both
    for fast, slow in both.values():
        assert fast._fast_paths is not None
        assert slow._fast_paths is None
