"""What the probe reports about a model, in the interpreter that trained it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from amlcore.model.inputs import introspection
from amlcore.worker import probe
from tests.support.pythons import installed_python

INPUTS = Path(introspection.__file__).parent
LEARN = """
import importlib, importlib.util, os, sys
folder = sys.argv[1]
spec = importlib.util.spec_from_file_location(
    "inputs", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
)
sys.modules["inputs"] = importlib.util.module_from_spec(spec)
class Model:
    n_features_in_ = 2
    def predict(self, rows):
        return [sum(row) for row in rows]
print(importlib.import_module("inputs.signature_inference").infer_signature(Model(), None)["signature"]["n_features"])
"""

X, Y = [[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1]


class Stubborn:
    """A model whose attributes cannot be read."""

    @property
    def steps(self) -> None:
        raise RuntimeError("not fitted")


def _search(estimator: Any) -> GridSearchCV:
    return GridSearchCV(estimator, {}, cv=2)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (LogisticRegression(), "LogisticRegression"),
        (make_pipeline(StandardScaler(), LogisticRegression()), "LogisticRegression"),
        (make_pipeline(StandardScaler(), make_pipeline(LogisticRegression())), "LogisticRegression"),
        (_search(LogisticRegression()), "GridSearchCV"),  # without a best model it stands for itself
        (_search(LogisticRegression()).fit(X, Y), "LogisticRegression"),
        (_search(make_pipeline(StandardScaler(), LogisticRegression())).fit(X, Y), "LogisticRegression"),
        (make_pipeline(StandardScaler(), _search(LogisticRegression())).fit(X, Y), "LogisticRegression"),
        (Pipeline([("only", "passthrough")]), "str"),
        (Stubborn(), "Stubborn"),
    ],
)
def test_the_probe_and_a_service_agree_on_what_predicts(model: Any, name: str) -> None:
    assert probe.last_step_class(model) == name
    assert type(introspection.last_step(model)).__qualname__ == name


@pytest.mark.parametrize("version", ["3.7", "3.8", "3.13"])
def test_a_signature_is_inferred_on_every_python_of_an_environment(version: str) -> None:
    command = [installed_python(version), "-c", LEARN, str(INPUTS)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("2\n", "")
