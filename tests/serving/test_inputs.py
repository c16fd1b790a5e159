"""A model gets input as in training, whatever JSON loses; what is ambiguous is refused, not guessed."""

from __future__ import annotations

import datetime
import enum
import fractions
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from amlcore.model.inputs.reference_model import ReferenceModel
from amlcore.model.inputs.signature import Signature
from amlcore.model.inputs.signature_inference import infer_signature
from amlcore.model.inputs.times import is_day_or_month
from amlcore.serving.runtime.proof import proof
from amlcore.worker.script import samples
from tests.support.serving_models import packaged

pytestmark = pytest.mark.filterwarnings("ignore")

NUMBERS = np.arange(60.0)
LABELS = np.arange(60) % 2
LARGE = 2**53


@pytest.fixture(autouse=True)
def _a_short_proof(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in {"SYNTHETIC_ROWS": 200, "SINGLY": 5, "SIZES": (1, 10), "AT_THRESHOLDS": 200}.items():
        monkeypatch.setattr(proof, name, value)
    return


def serve(root: Path, model: Any, data: Any = None, *, proven: bool = True) -> Any:
    return packaged(root, model, sample_json=None if data is None else samples.sample(data), proven=proven)


def ask(service: Any, data: Any, method: str = "predict") -> Any:
    status, body = service.answer(method, json.dumps({"data": data}).encode())
    answer = json.loads(body)
    return answer["error"] if status == 422 else next(iter(answer.values()))


def rows_of(data: Any) -> list[Any]:
    return samples.sample(data)["rows"]


class Sees:
    """Predicts from everything about a column: its dtype, its name, and the repr of each value."""

    def fit(self, data: Any, _: Any = None) -> Sees:
        return self

    def predict(self, data: Any) -> list[str]:
        if not hasattr(data, "columns"):
            return [f"{getattr(data, 'dtype', type(data))} {value!r}" for value in data]
        parts = [data.iloc[:, place] for place in range(data.shape[1])]
        told = [f"{part.name!r} {part.dtype!r}" for part in parts]
        codes = [part.cat.codes.tolist() if hasattr(part, "cat") else part.tolist() for part in parts]
        return [f"{told} {row!r}" for row in zip(*codes, strict=True)]


def dates(**options: Any) -> Any:
    return pd.date_range("2025-03-28", periods=6, freq="7h", **options)


COLUMNS: dict[str, Any] = {
    **{name: pd.Series([0, 1, 2, 3, 4, 5], dtype=name) for name in ("int8", "uint8", "int16", "uint32", "int64")},
    "float16": pd.Series([0.1, 0.5, 2, 3, 4, 5], dtype="float16"),
    "float32": pd.Series([0.1, 0.7, 2, 3, 4, 5], dtype="float32"),
    "float64": pd.Series([0.1, np.nan, 2, 3, 4, 5]),
    "Int64": pd.Series([1, None, LARGE + 1, 3, 4, 5], dtype="Int64"),
    "Float32": pd.Series([0.1, None, 2, 3, 4, 5], dtype="Float32"),
    "bool": pd.Series([True, False] * 3),
    "boolean": pd.Series([True, None] * 3, dtype="boolean"),
    "large": pd.Series([LARGE + number for number in range(6)]),
    "unsigned": pd.Series([2**64 - 1 - number for number in range(6)], dtype="uint64"),
    "text": pd.Series(["a", "b", None] * 2),
    "string": pd.Series(["a", "b", None] * 2, dtype="string"),
    "object None": pd.Series(["a", None, "b"] * 2, dtype=object),
    "object NaN": pd.Series(["a", np.nan, "b"] * 2, dtype=object),
    "object NA": pd.Series(["a", pd.NA, "b"] * 2, dtype=object),
    "object bool": pd.Series([True, None, False] * 2, dtype=object),
    "object mixed": pd.Series([1, "a", 2.5, None, True, "3"], dtype=object),
    "object dates": pd.Series(list(dates().date), dtype=object),
    "category": pd.Series(pd.Categorical(["b", None, "c"] * 2, categories=["c", "b", "a"], ordered=True)),
    "category int": pd.Series(pd.Categorical([3, 1, 2] * 2)),
    "category float": pd.Series(pd.Categorical([0.5, 1.0, 2.5] * 2)),
    "category bool": pd.Series(pd.Categorical([True, False] * 3)),
    "category dates": pd.Series(pd.Categorical(dates())),
    "dates": pd.Series(dates()),
    "dates UTC": pd.Series(dates(tz="UTC")),
    "dates zoned": pd.Series(dates(tz="Europe/Berlin")),
    "durations": pd.Series(pd.to_timedelta([1, 2, 3, 4, 5, 6], "h")),
    "periods": pd.Series(pd.period_range("2025-01", periods=6, freq="M")),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_is_given_as_it_was_in_training(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"x y": COLUMNS[name], "n": range(6)})
    service = serve(tmp_path, Sees(), frame, proven=False)
    rows = json.loads(json.dumps(samples.cells(frame.itertuples(index=False, name=None))))
    assert ask(service, rows) == Sees().predict(frame)
    assert [ask(service, [row])[0] for row in rows] == Sees().predict(frame)
    assert ask(service, [dict(zip(["n", "x y"], row[::-1], strict=True)) for row in rows]) == Sees().predict(frame)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_null_alone_has_the_type_of_training(tmp_path: Path, name: str) -> None:
    """But for integers and truth values, of which numpy has none that is missing."""
    frame = pd.DataFrame({"c": COLUMNS[name]})
    service = serve(tmp_path, Sees(), frame, proven=False)
    answer = ask(service, [[None]])
    if isinstance(answer, dict):
        assert name in ("object bool", "object mixed", "object dates")  # has it none, or is it None or NaT
    elif not (COLUMNS[name].dtype.kind in "iub" and COLUMNS[name].dtype.name.islower()) or name == "boolean":
        assert ("CategoricalDtype" if name.startswith("category") else repr(frame["c"].dtype)) in answer[0]


@pytest.mark.parametrize(
    "names", [[10, 7], [0.5, 1.5], ["a", "a"], ["a b", "é"], [("a", "x"), ("a", "y")], ["a", 1]], ids=str
)
def test_names_of_columns_are_those_of_training(tmp_path: Path, names: Any) -> None:
    frame = pd.DataFrame([[1.0, 2.0], [3.0, 4.0]])
    frame.columns = pd.MultiIndex.from_tuples(names) if isinstance(names[0], tuple) else pd.Index(names)
    service = serve(tmp_path, Sees(), frame, proven=False)
    assert ask(service, [[1, 2.0], [3.0, 4]]) == Sees().predict(frame)
    if len(set(names)) == len(names):
        records = [dict(zip(map(str, frame.columns), row, strict=True)) for row in frame.to_numpy().tolist()]
        assert ask(service, records) == Sees().predict(frame)


@pytest.mark.parametrize("name", ["category", "category int", "category bool", "text", "int64", "dates", "dates UTC"])
@pytest.mark.parametrize("value", ["now", "03/04/2025", "2025-02-30", 5, True, "1", "Z", 1.5])
def test_a_value_of_another_kind_is_refused_or_seen(tmp_path: Path, name: str, value: Any) -> None:
    """Sees tells each value apart, so what is open about one is a 422 that names its row and column."""
    frame = pd.DataFrame({"c": COLUMNS[name]})
    answer = ask(serve(tmp_path, Sees(), frame, proven=False), [rows_of(frame)[0], [value]])
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if name == "category bool" and value is True:
        assert len(answer) == 2
    elif (name == "int64" and is_number) or (name == "text" and isinstance(value, str)):
        assert repr(value) in answer[1]
    else:
        assert (answer["row"], answer["column"]) == (1, "c")


@pytest.mark.parametrize(
    ("name", "text", "is_taken"),
    [
        ("dates", "2025-06-01T12:00:00", True),
        ("dates", "2025-06-01", True),
        ("dates", "2025-06-01T12:00:00Z", False),
        ("dates UTC", "2025-06-01T12:00:00+02:00", True),
        ("dates zoned", "2025-06-01 10:00Z", True),
        ("dates zoned", "2025-06-01T12:00:00", False),
        ("durations", "1 days 02:00:00", True),
        ("durations", "26", False),
        ("periods", "2025-04", True),
        ("periods", "04/2025", False),
    ],
)
def test_a_time_has_one_meaning(tmp_path: Path, name: str, text: str, is_taken: bool) -> None:
    frame = pd.DataFrame({"c": COLUMNS[name]})
    answer = ask(serve(tmp_path, Sees(), frame, proven=False), [[text]])
    assert (len(answer) == 1) if is_taken else (answer["row"], answer["column"]) == (0, "c")


def month_by_the_first(frame: Any) -> Any:
    return pd.DataFrame({"month": pd.to_datetime(frame["day"]).dt.month})


def month_of_day_first(frame: Any) -> Any:
    return pd.DataFrame({"month": pd.to_datetime(frame["day"], format="%d/%m/%Y").dt.month})


@pytest.mark.parametrize("with_sample", [True, False])
@pytest.mark.parametrize("parse", [month_by_the_first, month_of_day_first])
def test_a_date_that_the_model_parses_by_its_neighbours_is_refused_beside_them(
    tmp_path: Path, parse: Any, with_sample: bool
) -> None:
    frame = pd.DataFrame({"day": ["25/04/2025", "03/04/2025", "07/11/2025"], "n": [0.0, 1.0, 2.0]})
    model = make_pipeline(FunctionTransformer(parse), LinearRegression()).fit(frame, [4.0, 4.0, 11.0])
    service = serve(tmp_path, model, frame if with_sample else None)
    for day in ("25/04/2025", "03/04/2025"):  # alone each has the model's own answer
        assert np.allclose(ask(service, [[day, 0]]), model.predict(pd.DataFrame({"day": [day], "n": [0.0]})))
    for n_others in (1, 40):
        answer = ask(service, [["25/04/2025", 0], *[["03/04/2025", 0]] * n_others])
        if parse is month_of_day_first:
            assert np.allclose(answer, 4.0)
        else:
            assert (answer["row"], answer["column"]) == (1, "day")
            assert "2025-04-03" in answer["message"]


WRITTEN = (
    "{}/{}/2025",
    "{} {} 2025",
    "Fri {}/{}/2025",
    "10:00 {}/{}/2025",
    " {}/{}/25",
    "{}.{}.2025 10:00",
    "{}-{}-2025\n",
    "from {} / {} / 2025",
)


def month_by_the_greatest(frame: Any) -> Any:
    """As pandas and others guess, whatever stands around a date."""
    pairs = frame["day"].str.extract(r"(\d+)([-/. ]+)(\d+)\2\d+")[[0, 2]].astype(int)
    return pd.DataFrame({"month": pairs[2 if (pairs[0] > 12).any() else 0]})


@pytest.mark.parametrize("written", WRITTEN)
def test_a_date_is_found_wherever_it_stands_in_its_text(tmp_path: Path, written: str) -> None:
    frame = pd.DataFrame({"day": [written.format(*pair) for pair in ((25, "04"), ("03", "04"), ("07", "11"))]})
    model = make_pipeline(FunctionTransformer(month_by_the_greatest), LinearRegression()).fit(frame, [4.0, 4.0, 11.0])
    service = serve(tmp_path, model, frame, proven=False)
    alone = frame[1:2]
    assert np.allclose(ask(service, rows_of(alone)), model.predict(alone))
    assert ask(service, rows_of(frame))["row"] == 1


@pytest.mark.parametrize(
    "text", ["2025-03-04", "2025-03-04 10:00", "25/03/2025", "03/25/2025", "04/04/2025", "1.2", ""]
)
def test_a_text_that_is_one_date_or_none_is_not_a_day_or_a_month(text: str) -> None:
    assert not is_day_or_month(text)


def test_dates_that_the_model_reads_alike_alone_and_together_are_answered(tmp_path: Path) -> None:
    days = [f"{month:02}/{day:02}/2025" for month in range(1, 13) for day in (4, 5, 25)]
    frame = pd.DataFrame({"day": days, "n": np.arange(36.0)})
    model = make_pipeline(FunctionTransformer(month_by_the_first), LinearRegression()).fit(frame, frame["n"])
    assert infer_signature(model, samples.sample(frame))["sample_error"] is None
    service = serve(tmp_path, model, frame, proven=False)
    rows = frame.to_numpy().tolist()
    assert np.allclose(ask(service, rows), model.predict(frame))
    assert np.allclose([ask(service, [row])[0] for row in rows[:3]], model.predict(frame)[:3])


class Noisy:
    """Its answers depend on the number of rows in their last bit, as sums do."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype

    def predict(self, frame: Any) -> Any:
        return ((frame["day"] != "03/04/2025") + np.finfo(self.dtype).eps * len(frame)).to_numpy(self.dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_noise_of_a_sum_is_not_another_reading_of_a_date(tmp_path: Path, dtype: str) -> None:
    frame = pd.DataFrame({"day": ["03/04/2025", "07/11/2025", "25/04/2025"]})
    assert len(ask(serve(tmp_path, Noisy(dtype), frame, proven=False), rows_of(frame))) == 3


def test_dates_that_an_encoder_compares_cost_no_further_call(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"day": ["03/04/2025", "07/11/2025", "25/04/2025"] * 20})
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(frame, LABELS)
    reference, calls = ReferenceModel(model, Signature(infer_signature(model, None)["signature"], None)), []
    ask_once = ReferenceModel._ask
    monkeypatch.setattr(ReferenceModel, "_ask", lambda *arguments: calls.append(1) or ask_once(*arguments))
    reference.answer("predict", rows_of(frame))
    assert len(calls) == 1


@pytest.mark.parametrize("sampled", [None, "head"])
def test_a_column_of_unknown_type_is_warned_about_at_registration(tmp_path: Path, sampled: str | None) -> None:
    frame = pd.DataFrame({"day": ["25/04/2025", "03/04/2025", "07/11/2025"] * 2, "n": NUMBERS[:6]})
    prepare = make_column_transformer((FunctionTransformer(month_by_the_first), ["day"]), remainder="passthrough")
    model = make_pipeline(prepare, LinearRegression()).fit(frame, [4.0, 4.0, 11.0] * 2)
    inferred = infer_signature(model, samples.sample(frame) if sampled else None)
    if sampled:
        assert inferred["warnings"] == []
        assert inferred["sample_error"] is None
    else:
        (warning,) = inferred["warnings"]
        assert "month_by_the_first" in warning
        assert "'day'" in warning
        assert "'n'" not in warning
        assert "run.log_sample(X)" in warning


class Side(str, enum.Enum):  # noqa: UP042 - what StrEnum writes by itself, this does not
    LEFT = "left"
    RIGHT = "right"


@pytest.mark.parametrize(
    "values",
    [
        [datetime.time(1), datetime.time(2)],
        [uuid.UUID(int=1), uuid.UUID(int=2)],
        [b"a", b"b"],
        [fractions.Fraction(1, 3), fractions.Fraction(2, 3)],
        [pd.Interval(0, 1), pd.Interval(1, 2)],
    ],
    ids=lambda values: type(values[0]).__name__,
)
@pytest.mark.parametrize("dtype", ["object", "category"])
def test_values_that_json_cannot_hold_are_refused(tmp_path: Path, values: list[Any], dtype: str) -> None:
    frame = pd.DataFrame({"c": pd.Series(values * 3, dtype="object").astype(dtype)})
    service = serve(tmp_path, Sees(), frame, proven=False)
    for value in (str(values[0]), rows_of(frame)[0][0], 1):
        answer = ask(service, [[value]])
        assert (answer["row"], answer["column"]) == (0, "c")
        assert "which JSON cannot express" in answer["message"]


def test_a_member_of_an_enum_of_texts_is_its_text(tmp_path: Path) -> None:
    frame = pd.DataFrame({"c": pd.Series([Side.LEFT, Side.RIGHT] * 30, dtype="object")})
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(frame, LABELS)
    assert rows_of(frame)[:2] == [["left"], ["right"]]
    assert ask(serve(tmp_path, model, frame), [["left"], ["right"]]) == [0, 1]


def test_numbers_beyond_a_small_type_do_not_wrap_and_leave_other_rows_alone(tmp_path: Path) -> None:
    frame = pd.DataFrame({"age": np.arange(60, dtype="uint8"), "debt": np.arange(60, dtype="int16") % 7 * 9})
    model = make_pipeline(StandardScaler(), LinearRegression()).fit(frame, frame.age + 10.0 * frame.debt)
    for folder, proven in (("a", True), ("b", False)):
        service = serve(tmp_path / folder, model, frame, proven=proven)
        assert np.allclose(ask(service, [[30, 40000], [260, 0], [-1, 0], [0.5, 0]]), [400030, 260, -1, 0.5])
    seen = serve(tmp_path / "seen", Sees(), frame, proven=False)
    alone, among = ask(seen, [[30, 1]]), ask(seen, [[260, 1], [30, 1], [None, 1], [1.5, 2]])
    assert among[1] == alone[0]
    assert "uint8" not in among[0]


@pytest.mark.parametrize("with_sample", [True, False])
def test_large_integers_are_not_merged(tmp_path: Path, with_sample: bool) -> None:
    ids = [LARGE + number % 4 for number in range(200)]
    for name, data in {"frame": pd.DataFrame({"id": ids}), "array": np.array([[one] for one in ids])}.items():
        model = make_pipeline(OneHotEncoder(), LogisticRegression(C=100)).fit(data, np.arange(200) % 2)
        service = serve(tmp_path / name, model, data if with_sample else None)
        assert ask(service, [[LARGE + number] for number in range(4)]) == [0, 1, 0, 1]
        assert ask(service, [[LARGE + 1], [0.5]])["row"] == 0 if not with_sample or name == "array" else True


BEYOND = 2**64 + 1
FORMS_OF_A_BODY: dict[str, Any] = {
    "rows": [[0.5, 1], [0.5, BEYOND]],
    "a row": [0.5, BEYOND],
    "records": [{"x": 0.5, "id": 1}, {"x": 0.5, "id": BEYOND}],
    "a record": {"x": 0.5, "id": BEYOND},
    "columns": {"x": [0.5, 0.5], "id": [1, BEYOND]},
}


@pytest.mark.parametrize("form", FORMS_OF_A_BODY)
@pytest.mark.parametrize("known", ["sample", "names", "array", "Int64", "category"])
def test_an_integer_beyond_64_bits_is_refused_before_it_loses_digits(tmp_path: Path, known: str, form: str) -> None:
    dtype = {"Int64": "Int64", "category": "category"}.get(known, "int64")
    frame = pd.DataFrame({"x": NUMBERS, "id": pd.Series(range(60), dtype=dtype)})
    model = make_pipeline(StandardScaler(), LinearRegression()) if known != "category" else Sees()
    data = frame if known != "array" else frame.to_numpy()
    model.fit(data, NUMBERS)
    service = serve(tmp_path, model, None if known in ("names", "array") else frame, proven=known != "category")
    if known == "array" and form in ("records", "a record", "columns"):
        return
    for sign in (1, -1):
        body = json.loads(json.dumps(FORMS_OF_A_BODY[form]).replace(str(BEYOND), str(sign * BEYOND)))
        error = ask(service, body)
        assert (error["row"], error["column"]) == (0 if form.startswith("a ") else 1, 1 if known == "array" else "id")
    assert len(ask(service, [[0.5, 2.0**64]])) == 1 or known == "category"


def test_an_integer_beyond_64_bits_is_refused_where_rows_are_records(tmp_path: Path) -> None:
    items = [{"kind": "cup", "id": 9}, {"kind": "plate", "id": 3}]
    service = serve(tmp_path, make_pipeline(DictVectorizer(), Ridge()).fit(items, [2.0, 4.0]))
    error = ask(service, [items[0], {"kind": "cup", "id": BEYOND}])
    assert (error["row"], error["column"]) == (1, "id")
    many = make_pipeline(FunctionTransformer(), Ridge()).fit(np.eye(3), [1.0, 2.0, 3.0])
    assert ask(serve(tmp_path / "array", many), [[1, 2, 3], [1, BEYOND, 0.5]])["column"] == 1


@pytest.mark.parametrize("with_sample", [True, False])
def test_null_is_what_it_was_in_training(tmp_path: Path, with_sample: bool) -> None:
    for name, missing in {"None": None, "NaN": np.nan}.items():
        frame = pd.DataFrame({"city": pd.Series(["a", "a", "b", missing] * 10, dtype=object)})
        model = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(), LogisticRegression())
        model.fit(frame, ["no", "no", "no", "yes"] * 10)
        service = serve(tmp_path / name, model, frame if with_sample else None)
        assert ask(service, [["a"], ["b"], [None]]) == model.predict(frame[1:4]).tolist()
        assert ask(service, [[None]]) == model.predict(frame[3:4]).tolist()
        assert service._fast_paths is not None


def test_a_null_that_training_never_saw_is_not_guessed(tmp_path: Path) -> None:
    frame = pd.DataFrame({"city": pd.Series(["a", "a", "b"] * 20, dtype=object)})
    error = ask(serve(tmp_path, Sees(), frame, proven=False), [["a"], [None]])
    assert (error["row"], error["column"]) == (1, "city")
    assert "null may stand for None or for NaN" in error["message"]
    alike = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LinearRegression()).fit(frame, NUMBERS)
    assert len(ask(serve(tmp_path / "alike", alike, frame), [["a"], [None]])) == 2


@pytest.mark.parametrize("with_sample", [True, False])
@pytest.mark.parametrize(
    ("dtype", "mark"),
    [("object", None), *((dtype, np.nan) for dtype in ("object", "str", "float64", "int64"))],
    ids=str,
)
def test_a_null_is_what_the_first_imputer_fills(tmp_path: Path, dtype: str, mark: Any, with_sample: bool) -> None:
    """Though the sample has none: what the imputer takes for missing is what null stands for."""
    values = ["a", "a", "b"] if dtype in ("object", "str") else [3, 3, 5]
    frame = pd.DataFrame({"n": NUMBERS, "c": pd.Series(values * 20, dtype=dtype)})
    impute = SimpleImputer(strategy="most_frequent", missing_values=mark)
    encode = make_column_transformer((make_pipeline(impute, OneHotEncoder(handle_unknown="ignore")), ["c"]))
    model = make_pipeline(encode, LinearRegression()).fit(frame, NUMBERS)
    service = serve(tmp_path, model, frame if with_sample else None)
    expected = model.predict(frame[:1])[0]  # of the most frequent value, which the imputer fills in
    assert np.allclose(ask(service, [[0.0, values[0]], [0.0, None]]), expected)
    assert np.allclose(ask(service, [[0.0, None]]), expected)


def test_integers_and_floats_are_one_where_no_type_is_known(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": np.where(NUMBERS % 5, NUMBERS / 3, np.nan), "t": ["x y", "y z"] * 30})
    impute = SimpleImputer(strategy="constant", fill_value=0.5)
    model = make_pipeline(
        make_column_transformer((impute, ["a"]), (CountVectorizer(token_pattern=r"\w"), "t")), LogisticRegression()
    )
    service = serve(tmp_path, model.fit(frame, LABELS))
    assert (
        ask(service, [[3, "x"]]) == ask(service, [[3.0, "x"]]) == model.predict(frame.assign(a=3.0, t="x")[:1]).tolist()
    )


@pytest.mark.parametrize("form", ["none", "series", "frame", "texts", "array", "one row"])
def test_texts_are_answered_one_by_one_whatever_the_sample(tmp_path: Path, form: str) -> None:
    letters = pd.DataFrame({"letter": ["please pay", "pay the bill", "happy birthday", "happy wedding"] * 3})
    column = letters["letter"]
    model = make_pipeline(CountVectorizer(), MultinomialNB()).fit(column, [1, 1, 0, 0] * 3)
    data = {
        "series": column,
        "frame": letters,
        "texts": list(column),
        "array": column.to_numpy(),
        "one row": letters[:1],
    }
    service = serve(tmp_path, model, data.get(form))
    assert ask(service, ["happy day", "pay now", "happy"]) == [0, 1, 0]
    assert ask(service, [["happy day"], ["pay now"], ["happy"]]) == [0, 1, 0]
    assert ask(service, [["pay now"]]) == [1]
    assert "expected" in ask(service, [["pay now"], [3]])["message"] or form == "none"
    if form in ("series", "frame", "one row"):
        assert ask(service, [{"letter": "happy day"}, {"letter": "pay now"}]) == [0, 1]
    else:
        refusal = ask(service, [{"letter": "happy day"}])["message"]
        assert "texts" in refusal
        assert refusal == ask(service, {"letter": "happy day"})["message"]


@pytest.mark.parametrize("with_sample", [True, False])
def test_records_and_lists_are_given_as_they_are(tmp_path: Path, with_sample: bool) -> None:
    items = [{"kind": "cup", "cm": 9.0}, {"kind": "plate"}, {"cm": 30.0, "round": True}]
    model = make_pipeline(DictVectorizer(), Ridge()).fit(items, [2.0, 4.0, 6.0])
    service = serve(tmp_path, model, items if with_sample else None)
    assert np.allclose(ask(service, items), model.predict(items))
    assert np.allclose(ask(service, items[2]), model.predict(items[2:]))
    assert ask(service, [["cup", 9.0]])["row"] == 0
    words = [["a", "b"], ["c"], ["a"]]
    hashed = make_pipeline(FeatureHasher(16, input_type="string"), Ridge()).fit(words, [2.0, 4.0, 6.0])
    service = serve(tmp_path / "words", hashed, words if with_sample else None)
    assert np.allclose(ask(service, words), hashed.predict(words))


class Drops(Sees):
    """Gives no answer for a row with a gap."""

    def predict(self, data: Any) -> Any:
        return data.dropna()["a"].to_numpy()


def test_too_few_predictions_are_an_error(tmp_path: Path) -> None:
    service = serve(tmp_path, Drops(), pd.DataFrame({"a": [1.0, 2.0]}), proven=False)
    assert ask(service, [[1.0], [2]]) == [1.0, 2.0]
    error = ask(service, [[1.0], [None]])
    assert error["row"] == 1
    assert "returned 1 results for 2 rows" in error["message"]


def test_a_category_that_is_unknown_is_answered_where_it_can_mean_one_thing(tmp_path: Path) -> None:
    frame = pd.DataFrame({"c": pd.Categorical(list("xyzx") * 15)})
    encoded = make_pipeline(OneHotEncoder(handle_unknown="ignore"), Ridge()).fit(frame, NUMBERS)
    expected = encoded.predict(pd.DataFrame({"c": ["Q"]}))
    assert np.allclose(ask(serve(tmp_path / "encoded", encoded, frame), [["Q"]]), expected)
    error = ask(serve(tmp_path / "codes", Sees(), frame, proven=False), [["x"], ["Q"]])
    assert (error["row"], error["column"]) == (1, "c")
    assert "'Q' is not one of the categories" in error["message"]


@pytest.mark.parametrize(
    "model",
    [LogisticRegression(), make_pipeline(StandardScaler(), LogisticRegression()), LinearRegression()],
    ids=["linear", "scaled", "regression"],
)
def test_a_sample_of_float32_keeps_the_fast_paths_and_the_bits(tmp_path: Path, model: Any) -> None:
    array = np.random.default_rng(0).normal(size=(60, 3)).astype("float32")
    frame = pd.DataFrame(array, columns=list("abc")).astype({"b": "float64"})
    for name, data in {"array": array, "frame": frame}.items():
        service = serve(tmp_path / name, model.fit(data, LABELS), data)
        assert service._fast_paths is not None
        for method in ("predict", "predict_proba") if hasattr(model, "predict_proba") else ("predict",):
            answer = np.array(ask(service, array.astype(float)[:9].tolist(), method))
            np.testing.assert_array_equal(
                answer.astype(array.dtype), getattr(model, method)(data[:9]).astype(array.dtype)
            )


def test_one_null_truth_value_keeps_the_fast_paths(tmp_path: Path) -> None:
    frame = pd.DataFrame({"open": pd.Series([True, False, None] * 20, dtype=object), "n": NUMBERS})
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["open"]), remainder="passthrough")
    model = make_pipeline(encode, LogisticRegression(max_iter=1000)).fit(frame, np.arange(60) % 3)
    service = serve(tmp_path, model, frame)
    assert service._fast_paths is not None
    frame_of_nulls = pd.DataFrame({"open": pd.Series([True, None, False], dtype=object), "n": [1.0, 2.0, 3.0]})
    assert ask(service, [[True, 1], [None, 2.0], [False, 3]]) == model.predict(frame_of_nulls).tolist()


def test_a_null_is_not_blamed_for_another_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": np.where(NUMBERS % 7, NUMBERS, np.nan), "b": ["x", "y"] * 30})
    encode = make_column_transformer((SimpleImputer(), ["a"]), (OneHotEncoder(), ["b"]))
    service = serve(tmp_path, make_pipeline(encode, LogisticRegression()).fit(frame, LABELS), frame)
    error = ask(service, [[1.0, "x"], [None, "z"]])
    assert (error["row"], error["column"]) == (1, "b")
    assert "null" not in error["message"]


def test_a_wide_sparse_answer_leaves_its_zeros_out(tmp_path: Path) -> None:
    vectorizer = HashingVectorizer(norm=None, alternate_sign=False)
    answer = ask(serve(tmp_path, vectorizer), ["good good film", "bad"], "transform")
    dense = vectorizer.transform(["good good film", "bad"])
    assert [row["size"] for row in answer] == [2**20] * 2
    assert sum(answer[0]["values"]) == 3.0
    assert answer[1]["indices"] == dense[1].indices.tolist()


numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.none()


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Any:
    frame = pd.DataFrame({"i": COLUMNS["int64"], "u": COLUMNS["uint8"], "f": COLUMNS["float64"], "n": COLUMNS["Int64"]})
    return serve(tmp_path_factory.mktemp("seeing"), Sees(), frame, proven=False)


@given(rows=st.lists(st.lists(numbers, min_size=4, max_size=4), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_row_is_answered_whatever_stands_beside_it(seeing: Any, rows: list[list[Any]]) -> None:
    alone, together = [ask(seeing, [row]) for row in rows], ask(seeing, rows)
    if isinstance(together, dict):
        assert any(isinstance(answer, dict) for answer in alone)
    else:
        assert [answer[0].partition("] (")[0] for answer in alone] == [one.partition("] (")[0] for one in together]


def test_a_function_of_typed_texts_is_answered_as_in_training(tmp_path: Path) -> None:
    frame = pd.DataFrame({"zip": [12345, 7, 99] * 20})
    model = make_pipeline(FunctionTransformer(as_text), OneHotEncoder(handle_unknown="ignore"), Ridge()).fit(
        frame, NUMBERS
    )
    expected = model.predict(frame[:2])
    answer = ask(serve(tmp_path, model, frame), [[12345], [7.0], [None]])
    assert np.allclose(answer[:2], expected)


def as_text(frame: Any) -> Any:
    return frame.astype(str)
