import ast
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import amlcore.worker
from amlcore.azure.model import Model
from amlcore.environment.lock import installed_lock
from amlcore.errors import ConfigError, ModelError, NotFoundError
from amlcore.model import Provenance, Registration, ResourceConfiguration, find, list_models, register
from amlcore.snapshot.snapshot import SnapshotLimits, take
from amlcore.worker.files import write_json
from tests.support.serving_models import iris as trained_svc
from tests.support.serving_models import register as laid

SKLEARN = subprocess.run(
    [sys.executable, "-c", "import importlib.metadata as m; print(m.version('scikit-learn'))"],
    capture_output=True,
    text=True,
    check=True,
).stdout.strip()
LOCK = f"joblib==1.0 \\\n    --hash=sha256:00\nscikit-learn=={SKLEARN} \\\n    --hash=sha256:11\n"

IRIS = """
import os, joblib
from sklearn.datasets import load_iris
from sklearn.svm import SVC
X, y = load_iris(return_X_y=True)
os.makedirs("outputs", exist_ok=True)
joblib.dump(SVC(kernel="linear").fit(X, y), "outputs/model.joblib")
"""


FEATURES = """
from ratios.core import ratio

def add_ratio(X):
    import late
    return late.join(X, ratio(X))
"""

LOCAL_STEP = """
import os, joblib
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from features import add_ratio
rng = np.random.default_rng(0)
X = rng.random((40, 3)) + 1
model = make_pipeline(FunctionTransformer(add_ratio), LogisticRegression()).fit(X, X[:, 0] > X[:, 1])
os.makedirs("outputs", exist_ok=True)
joblib.dump(model, "outputs/model.joblib", compress=3)
"""

LIBRARY = {
    "features.py": FEATURES,
    "late.py": "import numpy as np\ndef join(X, extra): return np.column_stack([X, extra])\n",
    "ratios/__init__.py": "",
    "ratios/core.py": """
        from pathlib import Path
        SCALE = float((Path(__file__).parent / "scale.txt").read_text())
        def ratio(X): return SCALE * X[:, 0] / X[:, 1]
    """,
    "ratios/scale.txt": "2.0",
    "ratios/other.py": "",
    "unrelated.py": "raise SystemExit('never imported')",
}


@pytest.fixture
def models(tmp_path):
    return tmp_path / "models"


@pytest.fixture
def trained(tmp_path):
    """Runs a script over a snapshot of its folder, and says where its outputs came from."""

    def train(code: str, *, script: str = "train.py", **modules: str) -> Provenance:
        source, run = tmp_path / "source", tmp_path / "outputs" / "iris" / "iris_1"
        for name, text in {script: code, **modules}.items():
            path = source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        run.mkdir(parents=True)
        snapshot = take(source, store=tmp_path / "store", limits=SnapshotLimits())
        subprocess.run([sys.executable, str(source / script)], cwd=run, check=True)
        return Provenance(
            run="iris_1",
            experiment="iris",
            folder=run,
            interpreter=Path(sys.executable),
            lock=LOCK,
            objects=snapshot.objects,
            manifest=snapshot.manifest,
            script=script,
            metrics={"Accuracy": 0.97},
        )

    return train


@pytest.fixture(scope="module")
def iris_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("iris")
    subprocess.run([sys.executable, "-c", IRIS], cwd=folder, check=True)
    return folder


@pytest.fixture
def iris(iris_model):
    return Provenance(
        run="iris_1",
        experiment="iris",
        folder=iris_model,
        interpreter=Path(sys.executable),
        lock=LOCK,
        metrics={"Accuracy": 0.97},
    )


def test_a_registered_model_says_what_it_is(iris, models):
    resources = ResourceConfiguration(cpu=2, memory_in_gb=0.5)
    registration = Registration(
        name="sklearn-iris", description="an SVC", tags={"team": "a"}, resource_configuration=resources
    )
    model = register(registration, iris, models=models)
    assert (model.name, model.version, model.id) == ("sklearn-iris", 1, "sklearn-iris:1")
    assert (model.framework, model.framework_version, model.warnings) == ("ScikitLearn", SKLEARN, [])
    assert model.class_name == "sklearn.svm._classes.SVC"
    assert model.methods == ["predict", "decision_function"]
    assert model.classes == [0, 1, 2]
    assert model.signature == {"n_features": 4, "columns": None, "dtypes": None, "form": "array"}
    assert model.resource_configuration == {"cpu": 2, "memory_in_gb": 0.5, "gpu": 0}
    assert (model.run, model.metrics, model.tags, model.lock) == ("iris_1", {"Accuracy": 0.97}, {"team": "a"}, LOCK)
    assert model.verify().read_bytes() == (iris.folder / "outputs/model.joblib").read_bytes()
    assert {path.stat().st_mode & 0o777 for path in model.folder.rglob("*") if path.is_file()} == {0o444}


def test_versions_count_up_and_are_found(iris, models):
    made = [register(Registration(name="m"), iris, models=models) for _ in range(2)]
    assert [model.version for model in made] == [1, 2]
    assert find(models, "m").version == find(models, "m:latest").version == 2
    assert find(models, "m:1") == made[0]
    assert [model.id for model in list_models(models)] == ["m:2", "m:1"]
    listed = list_models(models)[0].to_json()
    keys = ["name", "version", "framework", "framework_version", "run", "metrics", "sha256", "created", "tags", "note"]
    assert list(listed) == keys
    with pytest.raises(NotFoundError, match=r"no model 'n'; did you mean 'm'|no model 'n'; available: m"):
        find(models, "n")
    with pytest.raises(NotFoundError, match=r"model 'm' has no version '3'; available: latest, 1, 2"):
        find(models, "m:3")
    with pytest.raises(NotFoundError, match="there are none"):
        find(models / "empty", "m")


def test_model_as_in_azure_ml(iris, models):
    class Workspace:
        models_path = models

    registered = Model.register(
        Workspace(),
        model_path=str(iris.folder / "outputs/model.joblib"),
        model_name="local",
        model_framework=Model.Framework.SCIKITLEARN,
        model_framework_version=SKLEARN,
    )
    register(Registration(name="local"), iris, models=models)
    assert registered.run is None
    assert registered.warnings == []
    assert Model(Workspace(), "local").version == 2
    assert Model(Workspace(), name="local", version=1) == registered
    assert registered.lock == installed_lock()[0]


@pytest.mark.slow
def test_models_are_listed_as_in_azure_ml(iris, models):
    for name, tags in (("a", {"team": "x"}), ("b", {"team": "y", "prod": "yes"}), ("a", {"team": "y"})):
        register(Registration(name=name, tags=tags, properties={"n": name}), iris, models=models)

    class Workspace:
        models_path = models

    def listed(*name: str, **asked: object) -> list[str]:
        return [model.id for model in Model.list(Workspace(), *name, **asked)]

    assert listed() == ["a:2", "b:1", "a:1"]
    assert listed("a") == ["a:2", "a:1"]
    assert listed(latest=True) == ["a:2", "b:1"]
    assert listed(tags=["team"]) == listed() == listed(run_id=iris.run)
    assert listed(tags=[["team", "y"]]) == ["a:2", "b:1"] == listed(tags={"team": "y"})
    assert listed(tags=["prod", ["team", "y"]], properties={"n": "b"}) == ["b:1"]
    assert listed("b", tags=[["team", "x"]]) == listed("c") == listed(run_id="another") == []


def test_eight_registrations_at_once_leave_no_gap_and_no_double(iris, models):
    code = (
        "import sys; from pathlib import Path; from amlcore.model import *\n"
        "folder, models = map(Path, sys.argv[1:])\n"
        "provenance = Provenance(run=None, experiment='', folder=folder, interpreter=Path(sys.executable), lock='')\n"
        "print(register(Registration(name='m'), provenance, models=models).version)"
    )
    command = [sys.executable, "-c", code, str(iris.folder), str(models)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    versions = [int(line) for process in processes for line in process.communicate()[0].split()]
    assert sorted(versions) == list(range(1, 9))
    assert sorted(model.version for model in list_models(models)) == list(range(1, 9))
    assert sorted(path.name for path in (models / "m").iterdir() if path.name.startswith(".")) == []


def test_a_killed_registration_counts_for_nothing(iris, models):
    (models / "m" / ".tmp-0123456789ab" / "files").mkdir(parents=True)
    assert list_models(models) == []
    with pytest.raises(NotFoundError):
        find(models, "m")
    assert register(Registration(name="m"), iris, models=models).version == 1


@pytest.mark.parametrize("damage", ["", "{", "{}", "[]", '{"name": "bad"}'])
def test_a_damaged_record_hides_no_other_model(damage, tmp_path):
    good = laid(tmp_path, trained_svc(), name="good")
    bad = laid(tmp_path, trained_svc(), name="bad")
    (bad.folder / "model.json").write_text(damage)
    warned = []
    assert [model.id for model in list_models(tmp_path / "models", warn=warned.append)] == [good.id]
    assert [str(bad.folder / "model.json") in words for words in warned] == [True]
    with pytest.raises(ModelError, match=r"bad/1/model\.json"):
        find(tmp_path / "models", "bad")


@pytest.mark.parametrize("tamper", ["files/model.joblib", "code/features.py"])
def test_a_changed_file_is_refused(trained, models, tamper):
    model = register(Registration(name="m"), trained(LOCAL_STEP, **LIBRARY), models=models)
    path = model.folder / tamper
    assert model.verify() == model.folder / "files/model.joblib"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"#")
    with pytest.raises(ModelError, match=rf"m:1: .*{path.name} is not the file that was registered"):
        find(models, "m:1").verify()
    path.unlink()
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        model.verify()


@pytest.mark.parametrize("folder", ["", "src/"])
def test_the_code_of_the_snapshot_goes_with_the_model(trained, models, tmp_path, folder):
    provenance = trained(
        LOCAL_STEP, script=f"{folder}train.py", **{folder + name: text for name, text in LIBRARY.items()}
    )
    model = register(Registration(name="m"), provenance, models=models)
    assert model.code == [
        "features.py",
        "late.py",
        "ratios/__init__.py",
        "ratios/core.py",
        "ratios/other.py",
        "ratios/scale.txt",
    ]
    code = """
import sys, joblib, numpy
sys.path.insert(0, sys.argv[1])
print(joblib.load(sys.argv[2]).predict(numpy.array([[2.0, 1.0, 1.0]])))
"""
    command = [sys.executable, "-c", code, str(model.folder / "code"), str(model.verify())]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout == "[ True]\n"


@pytest.mark.parametrize("named", [False, True])
def test_code_that_the_script_made_importable_goes_with_the_model(trained, models, named):
    modules = {f"lib/{name}": text for name, text in LIBRARY.items()}
    if named:  # in PYTHONPATH, which alone says which of two is meant
        modules["old/features.py"] = "raise SystemExit('the wrong one')"
    reach = "import os, sys; sys.path.insert(0, os.path.join(os.path.dirname(__file__), 'lib'))\n"
    provenance = replace(trained(reach + LOCAL_STEP, **modules), python_path=("./lib",) if named else ())
    model = register(Registration(name="m"), provenance, models=models)
    assert model.code[:2] == ["features.py", "late.py"]
    assert "ratios/scale.txt" in model.code


@pytest.mark.parametrize(
    ("definition", "model", "name"),
    [
        ("class Mine(LogisticRegression): pass", "Mine()", "Mine"),
        ("def load(X): return X", "make_pipeline(FunctionTransformer(load), LogisticRegression())", "load"),
    ],
)
def test_a_class_defined_in_the_script_is_refused_with_advice(trained, models, definition, model, name):
    provenance = trained(f"""
        import os, joblib
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import FunctionTransformer
        {definition}
        os.makedirs("outputs", exist_ok=True)
        joblib.dump({model}.fit([[0], [1]], [0, 1]), "outputs/model.joblib")
    """)
    with pytest.raises(
        ModelError, match=rf"outputs/model.joblib needs '{name}', .* in train.py itself \(__main__\)"
    ) as at:
        register(Registration(name="m"), provenance, models=models)
    assert f"from features import {name}" in str(at.value)
    assert list((models / "m").iterdir()) == []


def test_a_model_of_a_data_frame_knows_its_columns_and_sample(trained, models):
    provenance = trained("""
        import os, joblib
        import pandas as pd
        from sklearn.compose import make_column_transformer
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder
        cities = ["Oslo", "Rome", "Oslo", None]
        X = pd.DataFrame({"age": [20, 30, 40, 50], "city": cities, "pay": [1.5, None, 2.0, 3.0]})
        y = ["no", "yes", "no", "yes"]
        prepare = make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough")
        os.makedirs("outputs", exist_ok=True)
        joblib.dump(make_pipeline(prepare, RandomForestClassifier(5)).fit(X, y), "outputs/model.joblib")
        X.assign(label=y)[["label", "pay", "age", "city"]].to_csv("outputs/sample.csv")
    """)
    model = register(Registration(name="m", sample_input="outputs/sample.csv"), provenance, models=models)
    assert model.warnings == []
    assert model.methods[:2] == ["predict", "predict_proba"]
    assert model.classes == ["no", "yes"]
    columns, dtypes = ["age", "city", "pay"], ["int64", "object", "float64"]
    details = [None, {"types": ["str"], "missing": ["nan"], "is_object": False}, None]  # as the encoder knows it
    inputs = {"n_features": 3, "columns": columns, "dtypes": dtypes}
    assert model.signature == {**inputs, "form": "frame", "details": details}
    assert model.sample == {
        "columns": columns,
        "dtypes": dtypes,
        "rows": [[20, "Oslo", 1.5], [30, "Rome", None], [40, "Oslo", 2.0], [50, None, 3.0]],
    }


def test_a_regression_takes_the_logged_sample_up_to_five_rows(trained, models):
    provenance = trained("""
        import os, joblib
        from sklearn.datasets import load_diabetes
        from sklearn.linear_model import Ridge
        X, y = load_diabetes(return_X_y=True)
        os.makedirs("outputs", exist_ok=True)
        joblib.dump(Ridge().fit(X, y), "outputs/model.joblib")
    """)
    sample = {"columns": None, "dtypes": ["float64"] * 10, "rows": [[0.5] * 10] * 9}
    write_json(str(provenance.folder / "sample.json"), sample)
    model = register(Registration(name="m"), provenance, models=models)
    assert (model.methods, model.classes, model.warnings) == (["predict"], None, [])
    assert model.sample == {**sample, "rows": sample["rows"][:5]}
    assert model.signature == {"n_features": 10, "columns": None, "dtypes": ["float64"] * 10, "form": "array"}


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("s.json", "[[1, 2, 3, 4]]", [[1, 2, 3, 4]]),
        ("s.json", '{"data": [{"a": 1, "b": 2, "c": 3, "d": NaN}]}', [[1, 2, 3, None]]),
        ("s.csv", "1,2,3,4\n5,6,7,8.5\n", [[1, 2, 3, 4], [5, 6, 7, 8.5]]),
    ],
)
def test_sample_files(iris, models, name, content, rows):
    (iris.folder / "outputs" / name).write_text(content)
    model = register(Registration(name="m", sample_input=f"outputs/{name}"), iris, models=models)
    assert model.sample is not None
    assert model.sample["rows"] == rows
    assert bool(model.warnings) == (None in rows[0])  # an SVC takes no missing value


def test_an_array_as_sample(iris, models):
    save = "import numpy; numpy.save('outputs/s.npy', numpy.ones((9, 4), 'float32'))"
    subprocess.run([sys.executable, "-c", save], cwd=iris.folder, check=True)
    model = register(Registration(name="m", sample_input="outputs/s.npy"), iris, models=models)
    assert model.sample == {"columns": None, "dtypes": ["float32"] * 4, "rows": [[1.0] * 4] * 5}


def test_a_sample_that_the_model_refuses_is_a_warning(iris, models):
    (iris.folder / "outputs/narrow.json").write_text("[[1, 2]]")
    model = register(Registration(name="m", sample_input="outputs/narrow.json"), iris, models=models)
    assert len(model.warnings) == 1
    assert "refuses its sample: row 0 has 2 values, but the model takes 4" in model.warnings[0]
    assert model.signature["n_features"] == 4


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("s.txt", "1", "must be a file of one of these formats: .csv, .json, .npy"),
        ("s.json", "{", "cannot be read as rows of data"),
        ("s.json", "[[1, 2], [3]]", "is not a table"),
        ("s.csv", "", "cannot be read as rows of data"),
    ],
)
def test_a_bad_sample_is_named(iris, models, name, content, message):
    (iris.folder / "outputs" / name).write_text(content)
    with pytest.raises(ModelError, match=message):
        register(Registration(name="m", sample_input=f"outputs/{name}"), iris, models=models)


def test_a_stated_version_is_kept_with_a_warning_and_the_lock_decides(iris, models):
    model = register(Registration(name="m", framework_version="0.24"), iris, models=models)
    assert (model.framework_version, model.trained_with) == ("0.24", SKLEARN)
    assert model.warnings == [
        f"model.framework_version=0.24 was recorded as given, but the model was trained with scikit-learn {SKLEARN}"
    ]
    other = register(Registration(name="m"), replace(iris, lock="scikit_learn==0.1\n"), models=models)
    assert other.framework_version == "0.1"
    assert other.warnings == [f"the lock has scikit-learn 0.1, but the interpreter now has {SKLEARN}"]
    assert register(Registration(name="m"), replace(iris, lock=""), models=models).framework_version == SKLEARN


@pytest.mark.parametrize(
    ("path", "strays", "message"),
    [
        ("outputs/modle.joblib", (), r"run iris_1 did not write it; it wrote .*outputs/model\.joblib"),
        ("outputs/m.joblib", ("m.joblib",), r"wrote m\.joblib outside \./outputs, .* write it to outputs/m\.joblib"),
        ("model.joblib", (), r"must be a path in the run's outputs/, such as outputs/model\.joblib"),
        ("outputs", (), r"must be a path in the run's outputs/, such as outputs/model\.joblib"),
        ("outputs/../secret", (), "must be a path in the run's outputs/"),
        ("/etc/hostname", (), "must be a path in the run's outputs/"),
    ],
)
def test_a_path_that_the_run_did_not_write(iris, models, path, strays, message):
    with pytest.raises(ModelError, match=message) as caught:
        register(Registration(name="m", path=path), replace(iris, strays=strays), models=models)
    assert str(caught.value).startswith(f"model.path={path}: ")
    assert not models.exists()


def test_a_file_that_is_no_model_is_refused_with_the_reason(iris, models):
    (iris.folder / "outputs/notes.joblib").write_text("not a pickle")
    with pytest.raises(ModelError, match=r"outputs/notes\.joblib cannot be loaded as a model by .*: \S+"):
        register(Registration(name="m", path="outputs/notes.joblib"), iris, models=models)
    with pytest.raises(ModelError, match="the interpreter that trained the model, /no/python, no longer exists"):
        register(Registration(name="m"), replace(iris, interpreter=Path("/no/python")), models=models)


def test_a_folder_and_a_plain_pickle(iris, models):
    code = """
import pickle, os
from sklearn.dummy import DummyClassifier
os.makedirs("outputs/bundle/extra", exist_ok=True)
pickle.dump(DummyClassifier().fit([[0]], ["a"]), open("outputs/bundle/extra/model.pkl", "wb"))
open("outputs/bundle/readme.txt", "w").write("x")
"""
    subprocess.run([sys.executable, "-c", code], cwd=iris.folder, check=True)
    model = register(Registration(name="m", path="outputs/bundle"), iris, models=models)
    assert model.path == "extra/model.pkl"
    assert [file["path"] for file in model.files] == ["extra/model.pkl", "readme.txt"]
    assert model.verify().is_file()
    (iris.folder / "outputs/bundle/second.joblib").write_text("x")
    with pytest.raises(ModelError, match=r"must hold exactly one file .* holds extra/model\.pkl, second\.joblib"):
        register(Registration(name="m", path="outputs/bundle"), iris, models=models)


def test_an_object_that_cannot_predict_is_registered_with_a_warning(iris, models):
    code = "import joblib; joblib.dump({'model': 1}, 'outputs/parts.joblib')"
    subprocess.run([sys.executable, "-c", code], cwd=iris.folder, check=True)
    model = register(Registration(name="m", path="outputs/parts.joblib"), iris, models=models)
    assert model.methods == []
    assert model.warnings == [
        "the model is a builtins.dict, which has neither predict nor transform, so it cannot be served"
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Registration(name="a b"), r"model\.name='a b': must be at most 255 letters"),
        (lambda: Registration(name="../up"), r"model\.name="),
        (lambda: Registration(name="m", framework="sklearn"), r"model\.framework='sklearn': .*ScikitLearn"),
        (lambda: ResourceConfiguration(cpu=0), r"model\.resource_configuration\.cpu=0: must be a number above 0"),
        (lambda: ResourceConfiguration(memory_in_gb=float("nan")), r"memory_in_gb=nan"),
        (lambda: ResourceConfiguration(gpu=1), r"gpu=1: must be 0, since scikit-learn does not use a GPU"),
    ],
)
def test_declared_fields_are_checked(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_registration_is_a_schema():
    values = OmegaConf.create({"name": "m", "tags": {"a": "b"}, "resource_configuration": {"cpu": 2}})
    made = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Registration), values))
    assert made == Registration(name="m", tags={"a": "b"}, resource_configuration=ResourceConfiguration(cpu=2))


def test_registration_needs_a_name(iris, models):
    with pytest.raises(ModelError, match=r"model\.name is null"):
        register(Registration(name=None), iris, models=models)


def test_a_broken_record_is_named(iris, models):
    folder = register(Registration(name="m"), iris, models=models).folder
    (folder / "model.json").chmod(0o644)
    (folder / "model.json").write_text("{")
    with pytest.raises(ModelError, match=r"m/1/model\.json is damaged"):
        find(models, "m:1")


def test_the_probe_is_python_36():
    with pytest.raises(SyntaxError):
        ast.parse("(a := 1)", feature_version=(3, 6))  # newer syntax is told apart
    for name in ("probe.py", "probe_trial.py"):
        source = Path(amlcore.worker.__file__).with_name(name).read_text()
        ast.parse(source, feature_version=(3, 6))
