"""`aml run` in environments other than the default: an old Python, and those that a script or a project declares."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.aml import Aml, Write
from tests.support.wheels import wheel

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
    assert "already built" in again.err


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
    details = aml("show", "latest", "--json").json
    assert details["metrics"] == {"six": version}
    lock = Path(details["folder"], "lock.txt").read_text()
    assert re.findall(r"^[\w-]+==[\d.]+", lock, re.MULTILINE) == [f"six=={version}"]


@pytest.mark.parametrize("folder", ["at_09:15", "two\nlines", "tab\there", "raw\udcff"])
def test_a_folder_where_no_environment_works_is_refused_before_anything_is_built(
    folder: str, aml: Aml, write: Write
) -> None:
    script = write("t.py", "print('ran')\n")
    there = script.parent / folder / "environments"

    said = aml("run", "t.py", status=2, env={"AMLCORE_ENVIRONMENTS": str(there)})

    assert said.err.startswith("aml: error: cannot build environments in ")
    assert said.err.count("\n") == 1
    assert not (script.parent / "outputs").exists()
    assert not there.exists()
    assert aml("run", "t.py", "environment=current", env={"AMLCORE_ENVIRONMENTS": str(there)}).out == "ran\n"


def test_an_environment_works_in_any_other_folder(aml: Aml, write: Write, project: Path) -> None:
    wheel(project / "wheels", "six_too", "1.0", text="VERSION = 'mine'\n")
    write("requirements.txt", "six_too\n--no-index\n--find-links wheels\n")
    code = "import six_too; print(six_too.VERSION)"
    write("t.py", f"import subprocess\nprint(subprocess.check_output(['python', '-c', {code!r}], text=True).strip())\n")

    for folder in ("per%cent %j; it's", '$HOME "ünï" 日本 #\\'):
        assert aml("run", "t.py", env={"AMLCORE_ENVIRONMENTS": str(project / folder)}).out == "mine\n"


@pytest.mark.parametrize("variable", ["PYTHONPATH", "LD_LIBRARY_PATH"])
def test_a_search_path_that_is_split_within_a_folder_is_refused(
    variable: str, aml: Aml, project: Path, write: Write
) -> None:
    write("t.py", "import own\n")
    write("a:b/own.py", "")
    key = f"+script.environment_variables.{variable}"
    words = ("run", "t.py", "environment=current")

    said = aml(*words, f"{key}='{project}/lib:{project}/a:b:/usr/lib'", status=2)

    assert f"{variable}: would be split inside {project}/a:b because ':' separates folders" in said.err
    (project / "a").mkdir()
    (project / "lib").mkdir()
    aml(*words, f"{key}='{project}/lib:{project}/a'", "--dry-run")


def test_an_environment_without_packages_has_a_lock_that_is_whole(aml: Aml, write: Callable[..., Path]) -> None:
    write("a.py", "print(1)")
    write("none.txt", "# nothing\n")
    aml("run", "a.py", "environment=file", "environment.file=none.txt")

    assert aml("rerun", "latest").out == "1\n"
    assert [run["state"] for run in aml("runs", "--json").json] == ["Completed"] * 2
    assert aml("show", "latest", "--json").json["damaged"] == []
