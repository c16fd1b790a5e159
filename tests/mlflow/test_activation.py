"""When MLflow's calls go into a run, and into which: what the worker tells a script."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from amlcore.config import Job, compose
from amlcore.execution.mlflow_calls import mlflow_note
from amlcore.worker.layout import ATTEMPT_VARIABLE, RUN_VARIABLE
from amlcore.worker.mlflow import activation, running
from amlcore.worker.mlflow.uris import experiment_id, path_of, uri_of

URI, RUN_ID, EXPERIMENT = "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"
RUN = "/work space/outputs/iris/20260102-030405-abcdef"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "path", [*sys.path, activation.PLUGIN])


def test_nobody_has_set_an_address() -> None:
    variables = activation.variables(RUN, True)

    assert variables == {URI: "amlcore:///work%20space", RUN_ID: None}
    assert path_of(str(variables[URI])) == "/work space"


def test_an_environment_without_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != activation.PLUGIN])

    assert activation.variables(RUN, True) == {}


def test_an_address_of_the_users_own_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URI, "http://team:5000")

    assert activation.variables(RUN, True) == activation.variables(RUN, False) == {}


def test_what_is_inherited_from_the_run_that_started_this_one_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URI, "amlcore:///other")
    monkeypatch.setenv(EXPERIMENT, "other")
    monkeypatch.setenv(RUN_ID, "20250101-000000-aaaaaa")

    assert activation.variables(RUN, True) == {URI: "amlcore:///work%20space", RUN_ID: None, EXPERIMENT: None}
    assert activation.variables(RUN, False) == dict.fromkeys((URI, RUN_ID, EXPERIMENT))


def test_the_first_run_of_each_attempt_is_the_run_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "outputs/e/20260102-030405-abcdef"
    folder.mkdir(parents=True)
    monkeypatch.setenv(RUN_VARIABLE, str(folder))

    taken = []
    for attempt in ("1", "1", "2", "2"):
        monkeypatch.setenv(ATTEMPT_VARIABLE, attempt)
        taken.append(running.take(str(folder)))

    assert taken == [True, False, True, False]
    assert running.own_folder(str(tmp_path)) == str(folder)
    assert running.own_folder(str(tmp_path / "elsewhere")) is None
    assert running.own_outputs(str(folder)) == str(folder / "attempts/2/work/outputs")
    assert running.own_outputs(f"{folder}_1") == f"{folder}_1/outputs"
    assert running.own_outputs(f"{folder.parent}/20250101-000000-aaaaaa") is None


def test_addresses_of_workspaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / "100% größer? #1"
    odd.mkdir()
    (odd / ".amlcore").mkdir()
    (odd / ".amlcore/config.json").write_text("{}")
    monkeypatch.chdir(odd)

    assert path_of(uri_of(str(odd))) == str(odd)
    assert path_of("amlcore:") == str(odd)
    with pytest.raises(ValueError, match="use three slashes"):
        path_of("amlcore://path/to/workspace")


@pytest.mark.parametrize(
    ("name", "identifier"), [("iris", "iris"), ("My study!", "My-study"), ("/Users/anna/study", "Users-anna-study")]
)
def test_names_of_experiments_become_folders(name: str, identifier: str) -> None:
    assert experiment_id(name) == identifier
    assert experiment_id(identifier) == identifier


@pytest.mark.parametrize(
    ("text", "version"), [("3.17.2", (3, 17)), ("2.10.0rc1", (2, 10)), ("2.9.2 --hash=sha256:1", (2, 9)), ("", ())]
)
def test_versions(text: str, version: tuple[int, ...]) -> None:
    assert activation.parsed_version(text) == version


@pytest.mark.parametrize(
    ("lock", "overrides", "note"),
    [
        ("scikit-learn==1.9.1", [], None),
        ("mlflow==3.17.2", [], "MLflow's calls go into this run; script.mlflow=false lets them go elsewhere"),
        ("mlflow-skinny==2.9.2", [], "MLflow's calls go into this run; script.mlflow=false lets them go elsewhere"),
        ("mlflow==2.8.1", [], "MLflow's calls do not go into this run: that needs MLflow 2.9 or newer"),
        ("mlflow==3.17.2", ["script.mlflow=false"], "MLflow's calls do not go into this run (script.mlflow=false)"),
        (
            "mlflow==3.17.2",
            ["+script.environment_variables.MLFLOW_TRACKING_URI=http://me:secret@team"],
            "MLflow's calls go where MLFLOW_TRACKING_URI says, and not into this run",
        ),
    ],
)
def test_the_record_says_where_the_calls_go(project: Path, lock: str, overrides: list[str], note: str | None) -> None:
    job = compose(overrides, root=project)
    assert isinstance(job, Job)

    assert mlflow_note(job, lock) == note
