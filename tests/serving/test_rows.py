"""How a service reads the body of a request, in process: the same code that travels inside a Bento."""

import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amlcore.serving.runtime.errors import ModelFault
from amlcore.serving.runtime.http.response import Writer, answer_to_json, dumps
from amlcore.serving.runtime.packaged_model import PackagedModel
from amlcore.serving.runtime.predictor import Predictor
from tests.support.serving_models import KeepsNoColumns, iris, mixed_pipeline, packaged, passengers, register


def predictor(root, estimator, **options):
    return packaged(root, estimator, proven=False, **options)


def ask(predictor, data, method="predict"):
    body = data if isinstance(data, bytes) else json.dumps({"data": data}).encode()
    status, answer = predictor.answer(method, body)
    return status, json.loads(answer, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@pytest.fixture(scope="module")
def flowers(tmp_path_factory):
    return predictor(tmp_path_factory.mktemp("iris"), iris())


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    estimator, frame = mixed_pipeline()
    return predictor(tmp_path_factory.mktemp("people"), estimator, name="people", frame=frame)


@pytest.fixture(scope="module")
def untyped(tmp_path_factory):
    estimator, frame = mixed_pipeline()
    return predictor(tmp_path_factory.mktemp("untyped"), estimator, name="people", frame=frame, sample=False)


RECORD = {"age": 40, "class": 1, "port": "S", "alone": True}


def test_one_flat_row_is_answered_like_a_list_of_rows(flowers):
    row = [5.1, 3.5, 1.4, 0.2]
    assert ask(flowers, [row, [6.7, 3.0, 5.2, 2.3]]) == (
        200,
        {"predictions": [0, 2], "model": "sklearn-iris", "version": 1},
    )
    assert ask(flowers, row)[1]["predictions"] == [0]


@pytest.mark.parametrize("service", ["people", "untyped"])
def test_records_in_any_order_answer_as_the_model_does(service, request):
    loaded = request.getfixturevalue(service)
    estimator, frame = mixed_pipeline()
    records = json.loads(frame.to_json(orient="records"))
    turned = [dict(reversed(record.items())) for record in records]
    lists = [list(record.values()) for record in records]
    expected = estimator.predict(frame).tolist()
    for data in (records, turned, lists):
        assert ask(loaded, data)[1]["predictions"] == expected
    status, answer = ask(loaded, records, "predict_proba")
    assert status == 200
    np.testing.assert_array_equal(answer["probabilities"], estimator.predict_proba(frame))
    assert answer["classes"] == ["no", "yes"]
    assert ask(loaded, records[1])[1]["predictions"] == expected[1:2]


@pytest.mark.parametrize(
    ("data", "status", "where", "says"),
    [
        (b"", 400, (None, None), "not JSON"),
        (b"{", 400, (None, None), "not JSON"),
        (b"\xff\xfe\xfa", 400, (None, None), "not JSON"),
        (b"[" * 100_000, 400, (None, None), "not JSON"),
        (b"[[1, 2, 3, 4]]", 400, (None, None), '{"data": rows}'),
        (b'{"rows": [[1, 2, 3, 4]]}', 400, (None, None), '{"data": rows}'),
        (
            b'{"data": [[1, 2, 3, 4]], "method": "predict_proba"}',
            400,
            (None, None),
            "available: predict, decision_function",
        ),
        (b'{"data": [[1, 2, 3, NaN]]}', 400, (None, None), "send null for a missing value"),
        (b'{"data": [[1, 2, 3, 1e999]]}', 422, (0, 3), "too large"),
        ([[1, 2, 3, 10**400]], 422, (0, 3), "too large"),
        ([], 422, (None, None), "no rows"),
        (None, 422, (None, None), "got null"),
        (5, 422, (None, None), "got 5"),
        ("5.1", 422, (None, None), "got '5.1'"),
        ([[]], 422, (0, None), "row 0 is empty"),
        ([1, 2, 3], 422, (0, None), "row 0 has 3 values, but the model takes 4"),
        ([[1, 2, 3, 4], [1, 2, 3, 4, 5]], 422, (1, None), "row 1 has 5 values, but the model takes 4"),
        ([[1, 2, 3, 4], 5], 422, (1, None), "row 1 must be a list or a record, got 5"),
        ([[1, 2, 3, [4]]], 422, (0, 3), "got a list"),
        ([[1, 2, True, 4]], 422, (0, 2), "got true"),
        ([[1, 2, None, 4]], 422, (0, 2), "NaN"),
        ([[1, 2, 3, "abc"]], 422, (0, 3), "'abc'"),
        ([[1, 2, 3, "4.0"]], 422, (0, 3), "expected a number, got the text '4.0'"),
        ([{"a": 1}], 422, (0, None), "without column names"),
    ],
)
def test_a_bad_body_names_what_is_wrong(flowers, data, status, where, says):
    actual, answer = ask(flowers, data)
    assert actual == status
    assert (answer["error"]["row"], answer["error"]["column"]) == where
    assert says in answer["error"]["message"]


@pytest.mark.parametrize(
    ("record", "column", "says"),
    [
        ({**RECORD, "age": "40"}, "age", "expected a number, got '40'"),
        ({**RECORD, "age": True}, "age", "expected a number, got true"),
        ({**RECORD, "port": 5}, "port", "expected text, got 5"),
        ({**RECORD, "alone": 1}, "alone", "expected true or false, got 1"),
        ({**RECORD, "prot": "S"}, "prot", "did you mean 'port'?"),
        ({key: RECORD[key] for key in ("age", "class", "alone")}, "port", "'port' is missing"),
    ],
)
def test_a_bad_record_names_its_row_and_column(people, record, column, says):
    status, answer = ask(people, [RECORD, record])
    assert status == 422
    assert (answer["error"]["row"], answer["error"]["column"]) == (1, column)
    assert says in answer["error"]["message"]


def test_types_that_are_not_known_are_not_guessed(untyped):
    assert ask(untyped, RECORD)[0] == 200
    status, answer = ask(untyped, {**RECORD, "age": "40"})
    assert status == 422
    assert "'40'" in answer["error"]["message"]


def test_a_model_sees_the_types_that_it_was_trained_on(people):
    frame, _ = passengers()
    rows = json.loads(frame.to_json(orient="values"))
    given = people._signature.to_input(people._signature.read(rows))
    assert given.dtypes.to_dict() == frame.dtypes.to_dict()
    assert given.equals(frame)


def test_several_outputs_text_labels_and_numbers(tmp_path):
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LinearRegression

    features = np.random.default_rng(0).normal(size=(40, 3))
    labels = np.column_stack([np.where(features[:, 0] > 0, "up", "down"), np.where(features[:, 1] > 0, "a", "b")])
    forest = RandomForestClassifier(5, random_state=0).fit(features, labels)
    (tmp_path / "forest").mkdir()
    service = predictor(tmp_path / "forest", forest)
    rows = features[:4].tolist()
    assert ask(service, rows)[1]["predictions"] == forest.predict(features[:4]).tolist()
    answer = ask(service, rows, "predict_proba")[1]
    assert answer["classes"] == [["down", "up"], ["a", "b"]]
    for output, expected in enumerate(forest.predict_proba(features[:4])):
        np.testing.assert_array_equal([row[output] for row in answer["probabilities"]], expected)

    (tmp_path / "line").mkdir()
    line = LinearRegression().fit(features, features @ [[1.0, 2.0], [0.5, 1.0], [0.0, 3.0]])
    assert ask(predictor(tmp_path / "line", line), rows)[1]["predictions"] == line.predict(features[:4]).tolist()


def test_texts_are_rows_of_a_text_model(tmp_path):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["good fine", "bad poor"], ["+", "-"])
    service = predictor(tmp_path, model)
    assert ask(service, ["fine", "poor"])[1]["predictions"] == ["+", "-"]
    assert ask(service, [["fine"], ["poor"]])[1]["predictions"] == ["+", "-"]
    assert ask(service, [[1.0], [2.0]])[0] == 422


def test_a_model_that_does_not_tell_its_width_takes_no_row_of_any(tmp_path):
    service = predictor(tmp_path, KeepsNoColumns())
    status, answer = ask(service, [[1] * 10_001], "transform")
    assert (status, answer["error"]["message"], answer["error"]["row"]) == (
        422,
        "row 0 has 10001 values; at most 10000 are accepted",
        0,
    )
    assert "refuses row 0" in ask(service, [[1] * 10_000], "transform")[1]["error"]["message"]


def test_a_sample_knows_the_columns_that_the_model_does_not(tmp_path):
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline

    frame, _ = passengers()
    model = make_pipeline(KeepsNoColumns(), LinearRegression()).fit(frame, range(len(frame)))
    signature = {"n_features": None, "columns": None, "dtypes": None}
    service = predictor(tmp_path, model, frame=frame, signature=signature)
    assert ask(service, [RECORD])[1]["predictions"] == model.predict(frame.assign(age=40.0))[:1].tolist()


def columns(records):
    return {name: [record[name] for record in records] for name in RECORD}


def test_columns_by_name_are_rows_too(people):
    records = [RECORD, {**RECORD, "age": None}, {**RECORD, "port": "C"}]
    assert ask(people, columns(records)) == ask(people, records)
    turned = dict(reversed(columns(records).items()))
    assert ask(people, turned) == ask(people, records)


@pytest.mark.parametrize(
    ("change", "row", "column", "says"),
    [
        ({"age": [40, 41]}, None, "class", "column 'class' has 1 value, but column 'age' has 2"),
        ({"age": 40}, None, "age", "column 'age': expected a list of values, got 40"),
        ({"age": ["old"]}, 0, "age", "row 0, column 'age': expected a number, got 'old'"),
        ({"prot": ["S"]}, None, "prot", "data: unknown column 'prot'; did you mean 'port'?"),
    ],
)
def test_bad_columns_are_named(people, change, row, column, says):
    status, answer = ask(people, {**columns([RECORD]), **change})
    assert (status, answer["error"]["row"], answer["error"]["column"]) == (422, row, column)
    assert says in answer["error"]["message"]


def test_a_request_names_its_method(flowers):
    """In Azure ML's form; each answer says which model gave it."""
    estimator, row = iris(), [5.1, 3.5, 1.4, 0.2]
    body = {"data": [row], "method": "decision_function"}
    status, answer = ask(flowers, json.dumps(body).encode())
    assert status == 200
    np.testing.assert_allclose(answer["scores"], estimator.decision_function([row]))
    assert (answer["classes"], answer["model"], answer["version"]) == ([0, 1, 2], "sklearn-iris", 1)
    assert ask(flowers, json.dumps({**body, "method": "predict"}).encode()) == ask(flowers, [row])


@pytest.mark.parametrize(
    ("route", "method", "says"),
    [
        ("predict", "transform", "unknown method 'transform'; available: predict, predict_proba, decision_function"),
        ("predict", "__class__", "unknown method '__class__'; available: predict"),
        ("predict", 5, "method must be a string, not 5"),
        ("predict", None, "method must be a string, not null"),
        ("predict_proba", "predict", "/predict_proba does not answer 'predict'; send the request to /predict"),
    ],
)
def test_a_method_that_is_not_served(people, route, method, says):
    status, answer = ask(people, json.dumps({"data": [RECORD], "method": method}).encode(), route)
    assert (status, answer["error"]["row"]) == (400, None)
    assert says in answer["error"]["message"]


def test_azures_default_is_predict_proba_where_there_is_one(tmp_path):
    estimator, frame = mixed_pipeline()
    service = packaged(tmp_path / "people", estimator, frame=frame, settings={"azure_default": True})
    assert "probabilities" in ask(service, RECORD)[1]
    assert "predictions" in ask(service, json.dumps({"data": RECORD, "method": "predict"}).encode())[1]
    without = packaged(tmp_path / "iris", iris(), settings={"azure_default": True})
    assert "predictions" in ask(without, [5.1, 3.5, 1.4, 0.2])[1]


def test_a_transformer_is_served_by_its_transform(tmp_path):
    from sklearn.preprocessing import StandardScaler

    frame, _ = passengers()
    scaler = StandardScaler().fit(frame[["age", "class"]])
    service = packaged(tmp_path, scaler, frame=frame[["age", "class"]])
    status, answer = ask(service, [{"class": 1, "age": 40}], "transform")
    assert status == 200
    np.testing.assert_allclose(answer["transformed"], (np.array([[40.0, 1.0]]) - scaler.mean_) / scaler.scale_)
    assert answer["model"] == "sklearn-iris"


@pytest.mark.parametrize(
    "result",
    [
        np.array([math.nan, math.inf, -math.inf, -0.0, 5e-324, 1e16, 1e22, 0.1]),
        np.random.default_rng(0).normal(size=(50, 3)) * 10.0 ** np.arange(-300, 300, 4).reshape(50, 3),
        np.arange(6.0).reshape(2, 3).T,
        np.array([[0.1, 3.0]], dtype="float32"),
        np.array([[1.5]], dtype=">f8"),
        np.array([2**64 - 1], dtype="uint64"),
        np.array([-(2**63), 7]),
    ],
)
def test_an_array_is_written_as_its_values_are(result):
    for method in ("predict", "predict_proba"):
        assert Writer("m", 1, [0, 1]).write(method, result).find(b": " + dumps(answer_to_json(result)) + b", ") > 0


def test_values_that_json_lacks_become_null():
    assert answer_to_json(np.array([1.5, np.nan, -np.inf])) == [1.5, None, None]
    assert answer_to_json(np.array([np.float64("nan"), "a", np.int64(3)], dtype=object)) == [None, "a", 3]


def test_a_file_that_is_not_the_registered_one_is_not_loaded(tmp_path):
    model = register(tmp_path, iris())
    (model.folder / "files" / "model.joblib").write_bytes(b"cos\nsystem\n")
    (tmp_path / "model").symlink_to(model.folder)
    (tmp_path / "service.json").write_text(json.dumps({"name": "x", "scikit_learn": "?"}))
    loading = PackagedModel(tmp_path)
    loading.settings["scikit_learn"] = loading.about["framework_version"]
    with pytest.raises(ModelFault, match="is not the file that was registered"):
        Predictor.load(loading)


def test_another_version_of_scikit_learn_is_refused(tmp_path):
    model = register(tmp_path, iris())
    (tmp_path / "model").symlink_to(model.folder)
    (tmp_path / "service.json").write_text(json.dumps({"name": "flowers", "scikit_learn": "1.2.2"}))
    with pytest.raises(ModelFault, match=r"trained with scikit-learn 1\.2\.2, .*: aml serve flowers$"):
        Predictor.load(PackagedModel(tmp_path))


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
json_values = st.recursive(
    values,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["age", "class", "port", "alone", "x"]), inner, max_size=5)
    ),
    max_leaves=20,
)
near_rows = st.lists(
    st.lists(values, min_size=4, max_size=4)
    | st.fixed_dictionaries({"age": values, "class": values, "port": values, "alone": values}),
    max_size=4,
)


@pytest.mark.parametrize("service", ["flowers", "people", "untyped"])
@given(
    body=st.binary() | json_values.map(json.dumps) | (json_values | near_rows).map(lambda d: json.dumps({"data": d}))
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_body_gets_an_answer_below_500(service, request, body):
    loaded = request.getfixturevalue(service)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy on numbers near the limits of float
        status, answer = ask(loaded, body if isinstance(body, bytes) else body.encode())
    assert status in (200, 400, 422)
    assert ("predictions" in answer) == (status == 200)


def test_a_missing_text_alone_is_taken_as_among_others_where_no_type_is_known(tmp_path):
    """Without a sample a column of nulls may stand for numbers or for texts, and encoders of texts take no floats."""
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

    frame = pd.DataFrame({"city": np.array(["a", "b", math.nan] * 10, dtype=object), "size": np.arange(30.0)})
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["city"]),
        (make_pipeline(FunctionTransformer(np.log1p), SimpleImputer()), ["size"]),
    )
    model = make_pipeline(encode, LogisticRegression()).fit(frame, ["x", "y", "z"] * 10)
    service = predictor(tmp_path, model, frame=frame, sample=False)
    expected = model.predict(frame.iloc[[2, 0]]).tolist()
    assert ask(service, [[None, 2.0], ["a", 0.0]])[1]["predictions"] == expected
    assert ask(service, [[None, 2.0]])[1]["predictions"] == expected[:1]
    assert ask(service, [["a", None]])[0] == 200  # a logarithm takes no objects
