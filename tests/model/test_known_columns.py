"""What a fitted model reveals about its columns, even if its own code may have changed them before the fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_selection import RFE, SelectFromModel, SelectKBest, f_classif
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder

from amlcore.model.inputs.introspection import names_of, width_of
from amlcore.model.inputs.known_columns import known_columns
from amlcore.model.inputs.signature_inference import infer_signature
from amlcore.worker.script import samples
from tests.serving.test_inputs import ask, rows_of
from tests.support.serving_models import packaged

pytestmark = pytest.mark.filterwarnings("ignore")

FRAME = pd.DataFrame({"age": [20.0, 30, 40, 50, 60, 70], "income": [9.0, 1, 7, 3, 8, 2]})
TARGET = 100 * FRAME["age"] + FRAME["income"]


class Wrapper(MetaEstimatorMixin, BaseEstimator):
    """Fits a library's model on columns that it selects, reorders or makes."""

    def __init__(self, change: Any, model: Any = None) -> None:
        self.change, self.model = change, model

    def fit(self, frame: Any, target: Any) -> Wrapper:
        self.estimator_ = (self.model or LinearRegression()).fit(self.change(frame), target)
        self.estimators_ = [self.estimator_]
        return self

    def predict(self, frame: Any) -> Any:
        return self.estimator_.predict(self.change(frame))


class Delegating(Wrapper):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "estimator_" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.estimator_, name)


class Searching(Wrapper):
    """What it keeps has the names that a search and a pipeline have in a library."""

    def fit(self, frame: Any, target: Any) -> Searching:
        super().fit(frame, target)
        self.best_estimator_, self.transformer_list = self.estimator_, [("a", self.estimator_)]
        return self


def reordered(frame: Any) -> Any:
    return frame[["income", "age"]]


def engineered(frame: Any) -> Any:
    return pd.DataFrame({"age": frame["age"], "r": frame["age"] * frame["income"]})


def narrowed(frame: Any) -> Any:
    return frame[["income"]]


@pytest.mark.parametrize("change", [reordered, engineered, narrowed])
@pytest.mark.parametrize("kind", [Wrapper, Delegating, Searching])
@pytest.mark.parametrize("is_step", [False, True])
def test_the_columns_of_a_model_inside_the_users_own_class_are_not_those_of_a_request(
    tmp_path: Path, kind: Any, change: Any, is_step: bool
) -> None:
    model = make_pipeline("passthrough", kind(change)) if is_step else kind(change)
    model.fit(FRAME, TARGET)
    assert (names_of(model), width_of(model)) == (None, None)
    (warning,) = infer_signature(model, None)["warnings"]
    assert kind.__name__ in warning
    assert "run.log_sample(X)" in warning
    service = packaged(tmp_path, model, frame=FRAME, proven=False)
    assert infer_signature(model, samples.sample(FRAME))["sample_error"] is None
    assert np.allclose(ask(service, rows_of(FRAME)), model.predict(FRAME.head(len(rows_of(FRAME)))))
    assert np.allclose(ask(service, FRAME.head(2).to_dict("records")), model.predict(FRAME.head(2)))


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline("passthrough", FunctionTransformer(), LinearRegression()),
        GridSearchCV(make_pipeline("passthrough", LinearRegression()), {}, cv=2),
        type("Own", (Pipeline,), {})([("a", "passthrough"), ("b", LinearRegression())]),
    ],
)
def test_the_columns_of_a_model_that_a_library_passes_them_on_to_are_those_of_a_request(model: Any) -> None:
    model.fit(FRAME, TARGET)
    assert (names_of(model), width_of(model)) == (["age", "income"], 2)


def texts(*, with_gaps: bool = False) -> pd.DataFrame:
    ports = pd.Series(["S", "C", None if with_gaps else "S"] * 10, dtype=object)
    return pd.DataFrame({"n": np.arange(30.0), "k": np.arange(30) % 4, "port": ports})


LABELS = np.arange(30) % 3 // 2


def encoding() -> Any:
    prepare = make_column_transformer((OneHotEncoder(), ["port"]), remainder="drop")
    return make_pipeline(prepare, LogisticRegression())


def port_first(frame: Any) -> Any:
    return frame[["port", "n", "k"]]


def port_alone(frame: Any) -> Any:
    return frame[["port"]]


@pytest.mark.parametrize("change", [port_first, port_alone])
def test_types_are_not_laid_over_the_columns_of_the_users_own_class(change: Any) -> None:
    frame = texts()
    model = Wrapper(change, encoding()).fit(frame, LABELS)
    model.feature_names_in_, model.n_features_in_ = np.array(frame.columns, dtype=object), 3
    columns = known_columns(model, 3)
    assert columns.details == {}
    assert set(columns.code.values()) == {"Wrapper"}
    assert "Wrapper reads the columns 'n', 'k', 'port'" in infer_signature(model, None)["warnings"][0]


def test_types_are_not_laid_over_columns_that_a_selector_left_out() -> None:
    """HistGradientBoosting keeps the categories of the columns that are left, by their position among those."""

    class Selector(SelectFromModel):
        """As a library's own: its class changes neither fit nor transform."""

    frame = texts().assign(port=lambda one: one["port"].astype("category"))
    model = Selector(HistGradientBoostingClassifier(max_iter=2, categorical_features="from_dtype"))
    model.estimator_ = model.estimator.fit(frame[["port", "n"]], LABELS)
    assert known_columns(model, 3).details == {}


def test_the_null_that_an_imputer_fills_is_named_by_its_type(tmp_path: Path) -> None:
    frame = texts(with_gaps=True)
    frame["port"] = frame["port"].astype(object).where(frame["port"].notna(), pd.NA)
    prepare = make_pipeline(SimpleImputer(missing_values=pd.NA, strategy="most_frequent"), OneHotEncoder())
    model = make_pipeline(make_column_transformer((prepare, ["port"])), LogisticRegression()).fit(frame, LABELS)
    assert known_columns(model, 3).details[2]["missing"] == ["NA"]
    assert ask(packaged(tmp_path, model, proven=False), [[0.0, 1, None]]) == model.predict(frame[2:3]).tolist()


@pytest.mark.parametrize(("value", "missing"), [(np.nan, ["nan"]), (-1.0, None), (0, None), (None, ["None"])])
def test_a_value_that_an_imputer_fills_is_not_a_missing_one(value: Any, missing: Any) -> None:
    data = [["a"], [value], ["a"]] if value is None else [[1.0], [value], [2.0]]
    imputer = SimpleImputer(missing_values=value, strategy="most_frequent").fit(np.array(data, dtype=object))
    assert known_columns(imputer, 1).details.get(0, {}).get("missing") == missing


def test_attributes_that_cannot_be_read_tell_nothing_and_fail_no_registration() -> None:
    model = encoding().fit(texts(), LABELS)
    model[0].transformers_[0][1].categories_ = [np.array([["S", "C"]], dtype=object)]
    assert known_columns(model, 3).details == {}
    assert infer_signature(model, None)["signature"]["columns"] == ["n", "k", "port"]


def test_a_column_that_is_dropped_is_read_by_no_code() -> None:
    model = encoding().fit(texts(), LABELS)
    assert known_columns(model, 3).code == {}
    assert infer_signature(model, None)["warnings"] == []


def test_a_pipeline_that_passes_everything_on_is_not_the_users_own_code() -> None:
    assert infer_signature(Pipeline([("a", "passthrough")]), None)["warnings"] == []


class Encoder(OneHotEncoder):
    def fit(self, frame: Any, target: Any = None) -> Encoder:
        return super().fit(frame, target)


class Imputer(SimpleImputer):
    def fit(self, frame: Any, target: Any = None) -> Imputer:
        return super().fit(frame, target)


class OtherEncoder(TransformerMixin, BaseEstimator):
    def fit(self, frame: Any, target: Any = None) -> OtherEncoder:
        self.encoder_ = OneHotEncoder().fit(frame)
        self.categories_ = self.encoder_.categories_
        return self

    def transform(self, frame: Any) -> Any:
        return self.encoder_.transform(frame)


class Counting(ClassifierMixin, TransformerMixin, BaseEstimator):
    def fit(self, frame: Any, target: Any = None) -> Counting:
        return self

    def transform(self, frame: Any) -> Any:
        return np.ones((len(frame), 1))


@pytest.mark.parametrize("encoder", [Encoder, OtherEncoder])
def test_an_encoder_of_the_users_own_tells_its_types(encoder: Any) -> None:
    prepare = make_column_transformer((encoder(), ["port"]), (Counting(), ["k"]))
    model = make_pipeline(prepare, LogisticRegression()).fit(texts(), LABELS)
    columns = known_columns(model, 3)
    assert columns.details[2]["types"] == ["str"]
    assert columns.code == {1: "Counting"}


def test_an_imputer_of_the_users_own_tells_what_is_missing_and_passes_its_columns_on() -> None:
    frame = texts(with_gaps=True)
    prepare = make_pipeline(Imputer(missing_values=None, strategy="most_frequent"), OneHotEncoder())
    model = make_pipeline(make_column_transformer((prepare, ["port"])), LogisticRegression()).fit(frame, LABELS)
    columns = known_columns(model, 3)
    assert (columns.details[2]["missing"], columns.details[2]["types"], columns.code) == (["None"], ["str"], {})


class Reversing(TransformerMixin, BaseEstimator):
    def fit(self, frame: Any, target: Any = None) -> Reversing:
        self.n_features_in_ = frame.shape[1]
        return self

    def transform(self, frame: Any) -> Any:
        return np.asarray(frame)[:, ::-1]


@pytest.mark.parametrize(
    "first", [SelectKBest(f_classif, k=2), RFE(LogisticRegression(), n_features_to_select=2), Reversing()]
)
def test_an_encoder_behind_a_step_that_selects_or_reorders_tells_nothing(first: Any) -> None:
    frame = pd.DataFrame({"a": np.arange(30) % 5, "k": LABELS, "z": np.arange(30) % 3})
    prepare = make_column_transformer((OrdinalEncoder(), [0]), remainder="passthrough")
    model = make_pipeline(first, prepare, LogisticRegression()).fit(frame, LABELS)
    assert known_columns(model, 3).details == {}


def test_an_attribute_that_raises_tells_nothing() -> None:
    class Raising(Reversing):
        @property
        def missing_values(self) -> Any:
            raise RuntimeError

    model = make_pipeline(Raising(), LogisticRegression()).fit(texts()[["n", "k"]], LABELS)
    assert known_columns(model, 2).details == {}


def test_columns_that_a_transformer_drops_by_name_give_no_warning() -> None:
    prepare = make_column_transformer((OneHotEncoder(), ["port"]), ("drop", ["n", "k"]))
    model = make_pipeline(prepare, LogisticRegression()).fit(texts(), LABELS)
    assert (known_columns(model, 3).code, infer_signature(model, None)["warnings"]) == ({}, [])


@pytest.mark.parametrize("encoder", [OneHotEncoder, OrdinalEncoder])
def test_a_subclass_of_an_encoder_keeps_its_categories(encoder: Any) -> None:
    kind = type("Sub", (encoder,), {"transform": encoder.transform})
    model = make_pipeline(make_column_transformer((kind(), ["port"])), LogisticRegression()).fit(texts(), LABELS)
    assert known_columns(model, 3).details[2]["types"] == ["str"]
