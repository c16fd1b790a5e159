"""`aml run` in other environments than the default: an old one, and what a script or a project asks for."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Aml

Write = Callable[[str, str], Path]
ENVIRONMENTS = "workspace.environments_folder=environments"  # of the test's own, so that it is really built

OLD = """
import joblib
import numpy as np
import sklearn
from sklearn.datasets import load_iris
from sklearn.svm import SVC
from azureml.core.run import Run

iris = load_iris()
X = np.asarray(iris.data, dtype=np.float)
model = SVC(kernel="linear").fit(X, iris.target)
run = Run.get_context()
run.log("accuracy", np.float(model.score(X, iris.target)))
print(sklearn.__version__, np.__version__, X.dtype)
joblib.dump(model, "outputs/model.joblib")
"""

TELL = """
from importlib.metadata import version
from amlcore import Run
Run.get_context().log("six", version("six"))
print(version("six"))
"""

NEEDS_SIX = """\
# /// script
# requires-python = ">=3.11"
# dependencies = ["six==1.17.0"]
# ///
"""

PYPROJECT = """
[project]
name = "mine"
version = "1"
requires-python = ">=3.11"
dependencies = ["six==1.15.0"]
"""


@pytest.mark.slow
def test_an_old_script_runs_in_the_old_environment_alone(aml: Aml, write: Write) -> None:
    write("train.py", OLD)

    said = aml("run", "train.py", "environment=sklearn-1.2", "model.name=old")

    assert said.out == "1.2.2 1.23.5 float64\n"
    assert "DeprecationWarning: `np.float` is a deprecated alias" in said.err
    (model,) = aml("models", "--json").json
    assert model["framework_version"] == "1.2.2"
    assert model["metrics"]["accuracy"] > 0.9
    assert "module 'numpy' has no attribute 'float'" in aml("run", "train.py", status=1).err


def test_a_script_brings_its_own_requirements(aml: Aml, write: Write) -> None:
    write("tell.py", NEEDS_SIX + TELL)

    said = aml("run", "tell.py", "environment=script", ENVIRONMENTS)

    assert said.out == "1.17.0\n"
    (run,) = aml("runs", "--json").json
    assert run["metrics"] == {"six": "1.17.0"}
    again = aml("run", "tell.py", "environment=script", ENVIRONMENTS)
    assert again.out == "1.17.0\n"
    assert "built before" in again.err


@pytest.mark.parametrize(
    ("file", "text", "version"),
    [("requirements.txt", "six==1.16.0\n", "1.16.0"), ("pyproject.toml", PYPROJECT, "1.15.0")],
    ids=["requirements", "pyproject"],
)
def test_a_file_says_what_the_environment_holds(file: str, text: str, version: str, aml: Aml, write: Write) -> None:
    write(file, text)
    write("src/tell.py", TELL)

    said = aml("run", "src/tell.py", f"environment.file={file}", ENVIRONMENTS)

    assert said.out == f"{version}\n"
    found = aml("show", "latest", "--json").json
    assert found["metrics"] == {"six": version}
    lock = Path(found["folder"], "lock.txt").read_text()
    assert re.findall(r"^[\w-]+==[\d.]+", lock, re.MULTILINE) == [f"six=={version}"]
