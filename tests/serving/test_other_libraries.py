"""Models and data of other libraries: LightGBM and XGBoost on pandas categories, and polars."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from amlcore.errors import DeploymentError
from amlcore.model.inputs.known_columns import known_columns
from amlcore.model.sample import read_sample
from amlcore.serving.packaging import check_servable
from amlcore.worker.script import samples
from tests.serving.test_inputs import ask, rows_of
from tests.support.serving_models import packaged, register

pytestmark = pytest.mark.filterwarnings("ignore")

UV = Path(sys.executable).parent / "uv"
LIBRARIES = ("lightgbm==4.7.0", "xgboost-cpu==3.2.0", "polars==2.1.0", "polars-runtime-32==2.1.0")


@pytest.fixture(scope="module", autouse=True)
def _libraries(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("libraries")
    command = [UV, "pip", "install", "--quiet", "--no-deps", "--python", sys.executable, "--target", folder]
    subprocess.run([*command, *LIBRARIES], check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield


def passengers(
    *, with_booleans: bool, ports: tuple[str, ...] = ("Cork", "Oslo", "Zug")
) -> tuple[pd.DataFrame, np.ndarray]:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": random.normal(size=200),
            "port": pd.Categorical(random.choice(ports, 200)),
            "deck": pd.Categorical(random.choice([30, 7, 200], 200)),
        }
    )
    if with_booleans:
        frame["alone"] = pd.Categorical(random.choice([True, False], 200))
    frame["class"] = random.integers(1, 4, 200)  # the codes of three categories are 0 to 2
    return frame, ((frame["port"].cat.codes + frame["deck"].cat.codes) % 2).to_numpy()


def trees(kind: str) -> Any:
    if kind == "lightgbm":
        from lightgbm import LGBMClassifier

        return LGBMClassifier(n_estimators=5, verbose=-1)
    if kind == "xgboost":
        from xgboost import XGBClassifier

        return XGBClassifier(n_estimators=5, enable_categorical=True)
    return HistGradientBoostingClassifier(max_iter=5)


WRAPPED: dict[str, Any] = {
    "alone": lambda model: model,
    "pipeline": lambda model: make_pipeline("passthrough", model),
    "search": lambda model: GridSearchCV(model, {"random_state": [0]}, cv=2),
    "calibrated": lambda model: CalibratedClassifierCV(model, cv=2),
    "passed on": lambda model: make_pipeline(
        make_column_transformer(
            ("passthrough", ["deck", "port", "age", "class"]), verbose_feature_names_out=False
        ).set_output(transform="pandas"),
        model,
    ),
}


@pytest.mark.parametrize(
    ("kind", "wrapped"),
    [
        *(("lightgbm", wrapped) for wrapped in WRAPPED),
        ("xgboost", "alone"),
        ("xgboost", "passed on"),
        ("sklearn", "alone"),
    ],
)
def test_categories_are_those_of_the_model_where_no_sample_was_logged(tmp_path: Path, kind: str, wrapped: str) -> None:
    frame, labels = passengers(with_booleans=kind == "lightgbm" and wrapped != "passed on")
    model = WRAPPED[wrapped](trees(kind)).fit(frame, labels)
    service = packaged(tmp_path, model, proven=False)
    rows, expected = rows_of(frame[:5]), model.predict_proba(frame[:5])
    assert np.allclose(ask(service, rows, "predict_proba"), expected)
    assert np.allclose([ask(service, [row], "predict_proba")[0] for row in rows], expected)
    records = [dict(zip(frame.columns, row, strict=True)) for row in rows]
    assert np.allclose(ask(service, records, "predict_proba"), expected)
    answer = ask(service, [[rows[0][0], "Atlantis", *rows[0][2:]]], "predict_proba")
    gap = pd.Categorical([None], categories=frame["port"].cat.categories)
    if isinstance(answer, dict):
        assert (answer["row"], answer["column"]) == (0, "port")
    else:
        assert np.allclose(answer, model.predict_proba(frame[:1].assign(port=gap)))


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost"])
def test_a_sample_from_before_the_categories_were_made_is_cast_to_them(tmp_path: Path, kind: str) -> None:
    """As a CSV is, and the frame that a script converts in place afterwards."""
    frame, labels = passengers(with_booleans=False)
    frame["deck"] = pd.Categorical(frame["deck"].astype(str).str.zfill(3))
    model = trees(kind).fit(frame, labels)
    raw = frame.astype({"port": object, "deck": object})
    frame[:5].to_csv(tmp_path / "sample.csv", index=False)
    from_csv = {"sample_json": read_sample(tmp_path / "sample.csv").to_json()}
    for name, options in {"csv": from_csv, "raw": {"frame": raw}}.items():
        service = packaged(tmp_path / name, model, proven=False, **options)
        answer = ask(service, rows_of(frame[:5]), "predict_proba")
        assert np.allclose(answer, model.predict_proba(frame[:5])), name


def forgetful(kind: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, pd.DataFrame]:
    ports = ("Zürich", "Oslo", "東京") if kind == "xgboost letters" else ("Cork", "Oslo", "Zug")  # XGBoost cuts these
    frame, labels = passengers(with_booleans=False, ports=ports)
    if kind == "xgboost":  # as before 3.1
        from xgboost import Booster

        monkeypatch.delattr(Booster, "get_categories")
    elif (
        kind == "lightgbm"
    ):  # an ordered category is a number to LightGBM: which list belongs to which column is not kept
        frame["port"] = frame["port"].cat.as_ordered()
    return trees(kind.partition(" ")[0]).fit(frame, labels), frame


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost", "xgboost letters"])
def test_a_model_whose_categories_are_lost_is_not_packaged_without_a_sample(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, frame = forgetful(kind, monkeypatch)
    with pytest.raises(DeploymentError, match=r"'port'.*run\.log_sample"):
        check_servable(register(tmp_path / "without", model))
    check_servable(register(tmp_path / "with", model, frame=frame))
    service = packaged(tmp_path / "service", model, frame=frame, proven=False)
    assert np.allclose(ask(service, rows_of(frame[:5]), "predict_proba"), model.predict_proba(frame[:5]))


def swapped(frame: Any) -> Any:
    return frame.rename(columns={"port": "town", "town": "port"})


class Renaming(TransformerMixin, BaseEstimator):
    def fit(self, frame: Any, target: Any = None) -> Renaming:
        self.feature_names_in_ = np.array(frame.columns, dtype=object)
        self.n_features_in_ = frame.shape[1]
        return self

    def transform(self, frame: Any) -> Any:
        return swapped(frame)


@pytest.mark.parametrize("first", [FunctionTransformer(swapped), Renaming()])
@pytest.mark.parametrize("kind", ["lightgbm", "xgboost"])
def test_categories_are_not_laid_over_columns_that_the_users_own_code_renames(
    tmp_path: Path, kind: str, first: Any
) -> None:
    frame, labels = passengers(with_booleans=False)
    frame["town"] = pd.Categorical(np.random.default_rng(1).choice(["Zug", "Cork", "Bonn"], 200))
    columns = ["age", "port", "town"]
    passing = make_column_transformer(("passthrough", columns), verbose_feature_names_out=False)
    model = make_pipeline(first, passing.set_output(transform="pandas"), trees(kind)).fit(frame[columns], labels)
    assert known_columns(model, 3).details == {}
    service = packaged(tmp_path, model, frame=frame[columns], proven=False)
    rows = rows_of(frame[columns].head(5))
    assert np.allclose(ask(service, rows, "predict_proba"), model.predict_proba(frame[columns].head(5)))


def declared(categories: list[str], *, is_used: bool = True) -> tuple[Any, pd.DataFrame]:
    """A model that was told to take integers for categories, and a category for a number."""
    random = np.random.default_rng(0)
    ports = pd.Categorical(random.choice(categories if is_used else categories[:-1], 200), categories=categories)
    frame = pd.DataFrame({"a": random.integers(0, 3, 200), "b": ports, "x": random.normal(size=200)})
    labels = frame["a"] % 2 ^ frame["b"].cat.codes % 2
    return trees("lightgbm").fit(frame, labels, categorical_feature=["a"]), frame


@pytest.mark.parametrize("is_used", [True, False])
def test_integers_that_are_declared_to_be_categories_are_not_those_of_another_column(
    tmp_path: Path, is_used: bool
) -> None:
    model, frame = declared(["Cork", "Oslo", "Zug"], is_used=is_used)
    with pytest.raises(DeploymentError, match=r"'a'.*run\.log_sample"):
        check_servable(register(tmp_path / "without", model))
    check_servable(register(tmp_path / "with", model, frame=frame))
    service = packaged(tmp_path / "service", model, frame=frame, proven=False)
    assert np.allclose(ask(service, rows_of(frame[:5]), "predict_proba"), model.predict_proba(frame[:5]))


def test_categories_that_could_be_a_column_of_integers_are_confirmed_by_the_sample(tmp_path: Path) -> None:
    """A flag of 0 and 1 may be the codes of a category; the texts of the sample tell that it is not."""
    frame, labels = passengers(with_booleans=False)
    frame = frame.assign(flag=np.arange(200) % 2, deck=frame["port"].cat.rename_categories(["A", "B", "C"]))
    model = trees("lightgbm").fit(frame, labels)
    with pytest.raises(DeploymentError, match=r"'port', 'deck'.*run\.log_sample"):
        check_servable(register(tmp_path / "without", model))
    frame[:5].to_csv(tmp_path / "sample.csv", index=False)
    raw = frame.astype({"port": object, "deck": "str"})
    from_csv = {"sample_json": read_sample(tmp_path / "sample.csv").to_json()}
    for name, options in {"csv": from_csv, "raw": {"frame": raw}, "frame": {"frame": frame}}.items():
        service = packaged(tmp_path / name, model, proven=False, **options)
        answer = ask(service, rows_of(frame[:5]), "predict_proba")
        assert np.allclose(answer, model.predict_proba(frame[:5])), name


def test_codes_that_the_script_made_itself_need_no_categories(tmp_path: Path) -> None:
    from xgboost import XGBClassifier

    frame, labels = passengers(with_booleans=False)
    coded = frame.assign(port=frame["port"].cat.codes.astype(int), deck=frame["deck"].cat.codes.astype(int))
    model = XGBClassifier(n_estimators=5, enable_categorical=True, feature_types=["float", "c", "c", "int"])
    model.fit(coded, labels)
    check_servable(register(tmp_path / "model", model))
    service = packaged(tmp_path, model, proven=False)
    assert np.allclose(ask(service, coded[:5].to_numpy().tolist(), "predict_proba"), model.predict_proba(coded[:5]))


def test_a_sample_of_a_polars_frame_has_its_rows_and_types(tmp_path: Path) -> None:
    import polars

    frame = polars.DataFrame(
        {"n": [1.0, None, 3.0], "k": [1, 2, 3], "t": ["x", "y", None], "b": [True, False, True]},
        schema_overrides={"k": polars.Int16},
    )
    sampled = samples.sample(frame)
    assert sampled["columns"] == ["n", "k", "t", "b"]
    assert sampled["dtypes"] == ["float64", "int16", "object", "bool"]
    assert sampled["rows"] == [[1.0, 1, "x", True], [None, 2, "y", False], [3.0, 3, None, True]]
    encode = make_column_transformer((OneHotEncoder(), ["t"]), ("passthrough", ["k", "b"]))
    model = make_pipeline(encode, LinearRegression()).fit(frame, [1.0, 2.0, 3.0])
    service = packaged(tmp_path, model, sample_json=sampled, proven=False)
    assert np.allclose(ask(service, sampled["rows"]), model.predict(frame))
