"""A model is tried before it is registered and packaged: one that cannot answer is not served."""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from amlcore.errors import DeploymentError, ModelError
from amlcore.execution import publication
from amlcore.model import Model, Registration
from amlcore.model.inspection import TrainingContext, inspect_model
from amlcore.record.record import Record
from amlcore.serving.deployment import Deployment
from amlcore.serving.packaging import service_settings
from amlcore.serving.proof_process import run_proof
from amlcore.snapshot.snapshot import SnapshotLimits, take
from tests.support.aml import Aml
from tests.support.serving_models import register

PYTHON = Path(sys.executable)

UNFITTED = """
import joblib, sys
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from own import Own
models = {
    "tree": DecisionTreeClassifier(), "chain": make_pipeline(StandardScaler(), SVC()),
    "search": GridSearchCV(SVC(), {"C": [1]}), "scaler": StandardScaler(), "own": Own(),
    "stateless": FunctionTransformer(), "fitted": LinearRegression().fit([[1.0]], [1.0]),
    "own-fitted": Own().fit([[1.0]], None),
}
for name, model in models.items():
    joblib.dump(model, "outputs/" + name + ".joblib")
"""

OWN = """
from sklearn.base import BaseEstimator
class Own(BaseEstimator):
    def fit(self, X, y):
        self.sum_ = len(X)
        return self
    def predict(self, X):
        return [self.sum_ for _ in X]
"""


def test_only_fitted_models_are_registered(project: Path, aml: Aml) -> None:
    (project / "train.py").write_text(UNFITTED)
    (project / "own.py").write_text(OWN)
    aml("run", "train.py", "environment=current")
    (folder,) = (project / "outputs/train").iterdir()
    for name in ("tree", "chain", "search", "scaler", "own"):
        with pytest.raises(ModelError, match=rf"outputs/{name}\.joblib holds a \w+ that is not fitted"):
            publication.register(Record(folder), Registration(name=name, path=f"outputs/{name}.joblib"))
        assert list((project / "models" / name).iterdir()) == []
    for name in ("stateless", "fitted", "own-fitted"):
        model = publication.register(Record(folder), Registration(name=name, path=f"outputs/{name}.joblib"))
        # nothing tells what the columns of a class of the user's own are
        assert [warning[:32] for warning in model.warnings] == ["no sample was logged, and Own kee"[:32]] * (
            name == "own-fitted"
        )


STEPS = """
import json, os
from pathlib import Path

def {name}(X):
    {body}
    return X * scale
"""

BODIES = {
    "beside": "scale = json.loads(Path(__file__).with_name('scale.json').read_text())",
    "maybe": "path = os.path.join(os.path.dirname(__file__), 'scale.json')\n"
    "    scale = json.loads(Path(path).read_text()) if os.path.exists(path) else 1",
    "listed": "scale = max(json.loads(p.read_text()) for p in (Path(__file__).parent / 'tables').glob('*.json'))",
    "working": "scale = json.loads(Path('scale.json').read_text())",
    "elsewhere": "scale = json.loads(Path('{elsewhere}').read_text())",
    "above": "scale = json.loads((Path(__file__).parent.parent / 'scale.json').read_text())",
}


@pytest.mark.parametrize(
    ("name", "goes", "warns"),
    [
        ("beside", ["scale.json"], None),
        ("maybe", ["scale.json"], None),
        ("listed", ["tables/more.json", "tables/scale.json"], None),
        ("working", [], r"cannot predict: FileNotFoundError: .*'scale\.json'"),
        ("elsewhere", [], r"steps_\w+\.py reads .*/elsewhere\.json, which is not kept with the model"),
        ("above", [], r"steps_above\.py reads scale\.json, which is not kept with the model"),
    ],
)
def test_files_that_a_module_reads_go_with_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, goes: list[str], warns: str | None
) -> None:
    source, module = tmp_path / "project", f"steps_{name}"
    scripts = source / "src" if name == "above" else source
    (scripts / "tables").mkdir(parents=True)
    (tmp_path / "elsewhere.json").write_text("3")
    files = {"scale.json": "2", "tables/scale.json": "2", "tables/more.json": "1", "notes.txt": "unread"}
    for path, text in files.items():
        (scripts / path).write_text(text)
    (source / "scale.json").write_text("2")
    body = BODIES[name].replace("{elsewhere}", str(tmp_path / "elsewhere.json"))
    (scripts / f"{module}.py").write_text(STEPS.replace("{name}", name).replace("{body}", body))
    (scripts / "train.py").write_text("")
    monkeypatch.syspath_prepend(str(scripts))
    monkeypatch.chdir(source)
    step = getattr(importlib.import_module(module), name)
    estimator = make_pipeline(FunctionTransformer(step), LinearRegression()).fit(np.eye(2), [1.0, 2.0])
    model = register(tmp_path, estimator)
    snapshot = take(source, store=tmp_path / "store", limits=SnapshotLimits())
    script = (scripts / "train.py").relative_to(source).as_posix()
    training = TrainingContext(PYTHON, snapshot.manifest, snapshot.objects, script)
    with inspect_model(model.verify(), training=training, sample=None, trusted=[], where="it") as findings:
        assert sorted(findings.code) == sorted([f"{module}.py", *goes])
        assert {path: findings.code[path].read_text() for path in goes} == {path: files[path] for path in goes}
        assert not any(path.is_symlink() for path in findings.code.values())
        if warns is None:
            assert findings.warnings == []
        else:
            (warning,) = findings.warnings
            assert pytest.raises(AssertionError, match=warns).matches(AssertionError(warning))


def with_code(root: Path, estimator: Any, module: str, **changes: Any) -> Model:
    """A model as it was registered with one module of its own."""
    text = (root / module).read_text()
    model = register(root, estimator, code=[module], **changes)
    (model.folder / "code" / module).write_text(text)
    changed = {**changes, "code": [module], "code_sha256": {module: hashlib.sha256(text.encode()).hexdigest()}}
    about = json.loads((model.folder / "model.json").read_text())
    (model.folder / "model.json").write_text(json.dumps({**about, **changed}))
    return Model.load_record(model.folder)


@pytest.mark.parametrize("failing", ["Path('gone.json').read_text()", "__import__('no_such_module')", "1 / 0 and X"])
def test_a_service_that_could_answer_nobody_is_not_packaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    name = f"failing_{abs(hash(failing))}"
    (tmp_path / f"{name}.py").write_text(
        f"from pathlib import Path\nISGOOD = True\ndef step(X):\n    if not ISGOOD:\n        {failing}\n    return X\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module(name)
    estimator = make_pipeline(FunctionTransformer(module.step), LinearRegression()).fit(np.eye(2), [1.0, 2.0])
    text = (tmp_path / f"{name}.py").read_text().replace("ISGOOD = True", "ISGOOD = False")
    (tmp_path / f"{name}.py").write_text(text)
    sample = {"columns": None, "dtypes": None, "rows": [[1.0, 2.0]]}
    model = with_code(tmp_path, estimator, f"{name}.py", sample=sample)
    if "1 / 0" in failing:  # of the rows, as far as anyone can tell: a warning
        report = run_proof(model, service_settings(model, Deployment()), python=PYTHON)
        assert "division by zero" in report["refused"]
        return
    with pytest.raises(DeploymentError, match=r"could not answer a single request.*(gone\.json|no_such_module)"):
        run_proof(model, service_settings(model, Deployment()), python=PYTHON)
