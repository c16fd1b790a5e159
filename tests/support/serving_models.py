"""Model folders as registration leaves them, with models that were really trained."""

import hashlib
import json
from pathlib import Path

import joblib
import sklearn

from amlcore.model import Model
from amlcore.model.inputs.signature_inference import infer_signature
from amlcore.model.sample import read_sample
from amlcore.serving import packaging
from amlcore.serving.bento import Bento
from amlcore.serving.deployment import Deployment
from amlcore.serving.runtime.packaged_model import PackagedModel
from amlcore.serving.runtime.predictor import Predictor
from amlcore.serving.runtime.proof.proof import make_proof
from amlcore.worker.probe import METHODS, last_step_class
from amlcore.worker.script import samples

LOCK = f"scikit-learn=={sklearn.__version__} \\\n    --hash=sha256:{'0' * 64}\n"


class KeepsNoColumns:
    """A step that asks for a column by its name and leaves no record of the columns that it saw."""

    def fit(self, frame, _=None):
        return self

    def transform(self, frame):
        return frame[["age"]].fillna(0)


def register(
    root: Path, estimator, *, name="sklearn-iris", version=1, frame=None, sample=True, sample_json=None, **changes
) -> Model:
    """`frame`: a DataFrame that the model was trained on; without `sample` nothing is known of its types."""
    folder = root / "models" / name / str(version)
    (folder / "files").mkdir(parents=True)
    (folder / "code").mkdir()
    file = folder / "files" / "model.joblib"
    joblib.dump(estimator, file)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    methods = [method for method in METHODS if hasattr(estimator, method)]
    logged = sample_json
    if frame is not None:
        logged = samples.sample(frame.head(3)) if sample else None
    learnt = infer_signature(joblib.load(file), as_read(root, logged))
    about = {
        "name": name,
        "version": version,
        "framework": "ScikitLearn",
        "framework_version": sklearn.__version__,
        "run": "iris_1",
        "experiment": "iris",
        "created": "2026-01-01T00:00:00+00:00",
        "path": "model.joblib",
        "files": [{"path": "model.joblib", "size": file.stat().st_size, "sha256": sha256}],
        "sha256": sha256,
        "code": [],
        "code_sha256": {},
        "trained_with": sklearn.__version__,
        "metrics": {},
        "trusted_types": [],
        "tags": {},
        "properties": {},
        "description": "",
        "resource_configuration": {"cpu": 1.0, "memory_in_gb": 0.5, "gpu": 0},
        "python": "3.11.7",
        "class": f"{type(estimator).__module__}.{type(estimator).__qualname__}",
        "last_step": last_step_class(estimator),
        "methods": methods,
        "signature": learnt["signature"],
        "classes": None,
        "sample": learnt["sample"],
        "warnings": [],
    }
    (folder / "model.json").write_text(json.dumps({**about, **changes}))
    (folder / "lock.txt").write_text(LOCK)
    return Model.load_record(folder)


def package(model: Model, deployment: Deployment, *, serving_lock: str, proof: dict | None = None) -> Bento:
    """The Bento of `model`, without the environment that packaging builds for its proof."""
    settings = packaging.service_settings(model, deployment)
    with packaging.staged(model) as staged_model:
        return packaging.package(
            staged_model, deployment, settings, lock=serving_lock, proof=proof, original=model.folder
        )


def as_read(root: Path, logged: dict | None) -> dict | None:
    """A sample as registration reads what run.log_sample has written."""
    if logged is None:
        return None
    path = root / "sample.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(logged, allow_nan=False))
    return json.loads(json.dumps(read_sample(path).to_json()))


def packaged(root: Path, estimator, *, sample_rows=None, proven=True, settings=None, **options) -> Predictor:
    """The service of `estimator` in process, with its proof; `sample_rows` stand in for a sample without names."""
    if sample_rows is not None:
        options["sample_json"] = {"columns": None, "dtypes": None, "rows": sample_rows}
    model = register(root, estimator, **options)
    bento = root / "bento"
    bento.mkdir(parents=True)
    (bento / "model").symlink_to(model.folder)
    about = {"name": model.name, "scikit_learn": model.framework_version, **(settings or {})}
    (bento / "service.json").write_text(json.dumps(about))
    served = PackagedModel(bento)
    if proven:
        report = make_proof(served.load_estimator(), served.signature, (served.sample or {}).get("rows") or [])
        (bento / "proof.json").write_text(json.dumps(report))
    return Predictor.load(PackagedModel(bento))


def iris(**options):
    """An SVC on the iris data, trained on an array, as the article's script trains it."""
    from sklearn.datasets import load_iris
    from sklearn.svm import SVC

    data, target = load_iris(return_X_y=True)
    return SVC(kernel="linear", random_state=0, **options).fit(data, target)


def passengers():
    """A table of numbers, texts, truth values and gaps, with what is to be predicted."""
    import pandas as pd

    frame = pd.DataFrame(
        {
            "age": [22.0, 38.0, None, 35.0, 54.0, 2.0, 27.0, 14.0],
            "class": [3, 1, 3, 1, 1, 3, 3, 2],
            "port": ["S", "C", "S", "Q", "S", None, "S", "C"],
            "alone": [False, False, True, False, True, True, False, True],
        }
    )
    return frame, ["no", "yes", "yes", "yes", "no", "no", "yes", "no"]


def mixed_pipeline():
    """A classifier of text labels behind a ColumnTransformer over mixed columns with missing values."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    prepare = ColumnTransformer(
        [
            ("numbers", SimpleImputer(), ["age", "class"]),
            ("texts", OneHotEncoder(handle_unknown="ignore"), ["port"]),
            ("rest", "passthrough", ["alone"]),
        ]
    )
    frame, labels = passengers()
    return make_pipeline(prepare, LogisticRegression()).fit(frame, labels), frame
