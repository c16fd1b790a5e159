"""The article that Azure ML's users come from, step by step, with `amlcore` in place of `azureml.core`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from amlcore import (
    Environment,
    Experiment,
    Local,
    Model,
    ResourceConfiguration,
    Run,
    ScriptRunConfig,
    Service,
    Workspace,
)
from amlcore.errors import (
    DeploymentError,
    EnvironmentSpecError,
    ModelError,
    NotFoundError,
    RequestError,
    RunError,
)

ARTICLE = Path(__file__).parent / "article"
# The score of every linear point of the article's grid: 37 of 38 test rows.
ACCURACY = 37 / 38


@pytest.fixture
def folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The article's folder: a workspace, the script and the conda YAML."""
    shutil.copytree(ARTICLE, project, dirs_exist_ok=True)
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A BentoML store of its own."""
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "bentoml"))
    return tmp_path / "bentoml"


@pytest.mark.slow
def test_the_article_runs_to_an_answered_request(folder: Path, home: Path) -> None:
    ws = Workspace.from_config()

    myenv = Environment.from_conda_specification(name="myenv", file_path="sklearn-env.yml", python="3.11")
    src = ScriptRunConfig(source_directory=".", script="train_iris.py")
    src.run_config.environment = myenv

    run = Experiment(ws, "train-sklearn").submit(config=src)
    run.wait_for_completion(show_output=True)

    assert run.get_metrics() == {"Kernel type": "linear", "Penalty": 1.0, "Accuracy": pytest.approx(ACCURACY)}
    model = run.register_model(
        model_name="sklearn-iris",
        model_path="outputs/model.joblib",
        model_framework=Model.Framework.SCIKITLEARN,
        model_framework_version="0.19.1",
        resource_configuration=ResourceConfiguration(cpu=1, memory_in_gb=0.5),
    )
    assert (model.version, model.framework_version) == (1, "0.19.1")
    assert any("0.19.1" in warning for warning in model.warnings)
    _copies(run, model, folder)

    web_service = Model.deploy(ws, "scikit-learn-service", [model])
    try:
        web_service.wait_for_deployment()
        answer = web_service.run([[5.1, 3.5, 1.4, 0.2], [6.9, 3.1, 5.4, 2.1]])
        assert answer == {"predictions": [0, 2], "model": "sklearn-iris", "version": 1}
        assert web_service.state == "Healthy"
        with pytest.raises(DeploymentError, match="overwrite=True"):
            Model.deploy(ws, "scikit-learn-service", [model])
        assert web_service.state == "Healthy"
        web_service = Model.deploy(ws, "scikit-learn-service", [model], overwrite=True)
        web_service.wait_for_deployment()
        assert list(ws.services) == ["scikit-learn-service"]
    finally:
        web_service.delete()
    assert ws.services == {}


def _copies(run: Run, model: Model, folder: Path) -> None:
    """Files of a run and of a model are downloaded as in v1, and an existing file is replaced only on request."""
    kept = Path(run.folder, "outputs/model.joblib").read_bytes()
    run.download_file("outputs/model.joblib", "mine.joblib")
    run.download_file("outputs/model.joblib")
    run.download_files(prefix="outputs/", output_directory=folder / "all")
    copied = model.download(target_dir="models-here")
    for path in ("mine.joblib", "model.joblib", "all/outputs/model.joblib", copied):
        assert Path(path).read_bytes() == kept
    with pytest.raises(ModelError, match="exist_ok=True"):
        model.download(target_dir="models-here")
    model.download(target_dir="models-here", exist_ok=True)
    with pytest.raises(NotFoundError, match="has no file"):
        run.download_file("model.joblib")


@pytest.mark.slow
def test_a_curated_name_and_another_target_through_run_config(folder: Path) -> None:
    ws = Workspace.from_config()
    src = ScriptRunConfig(source_directory=".", script="train_iris.py", arguments=["--kernel", "rbf", "--penalty", 0.5])
    src.run_config.environment = Environment.get(ws, name="AzureML-Tutorial")
    src.run_config.target = Local(cores=1)

    run = Experiment(ws, "train-sklearn").submit(src)
    details = run.wait_for_completion()

    assert details["parameters"] == {"kernel": "rbf", "penalty": "0.5"}
    assert details["metrics"]["Accuracy"] == pytest.approx(ACCURACY)
    assert [found.id for found in ws.experiments["train-sklearn"].get_runs()] == [run.id]
    assert details["environment"]["name"] == "sklearn"


def test_the_articles_own_python_is_used_or_said_to_be_missing(folder: Path) -> None:
    ws = Workspace.from_config()
    myenv = Environment.from_conda_specification(name="myenv", file_path="sklearn-env.yml")
    src = ScriptRunConfig(source_directory=".", script="train_iris.py", environment=myenv)

    try:
        run = Experiment(ws, "old").submit(src)
    except EnvironmentSpecError as error:
        said = str(error)
    else:
        details = run.wait_for_completion(raise_on_error=False)
        said = str(details["reason"])
        if details["state"] == "Completed":
            assert details["environment"]["python_version"].startswith("3.6.")
            assert any("3.6.2" in note for note in details["environment"]["notes"])
            assert details["metrics"]["Accuracy"] == pytest.approx(ACCURACY)
            return
    assert "3.6" in said
    assert 'python="3.11"' in said
    assert "environment.python=3.11" in said


def test_a_missing_workspace_names_the_folder_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(NotFoundError, match=str(tmp_path)):
        Workspace.from_config()


def test_azures_own_marker_counts(tmp_path: Path) -> None:
    (tmp_path / ".azureml").mkdir()
    (tmp_path / ".azureml/config.json").write_text('{"subscription_id": "x", "workspace_name": "mine"}')
    (tmp_path / "deep/down").mkdir(parents=True)

    ws = Workspace.from_config(str(tmp_path / "deep/down"))

    assert (ws.name, ws.path) == ("mine", tmp_path)


def test_a_failed_run_raises_and_a_wrong_request_never_begins(folder: Path) -> None:
    ws = Workspace.from_config()
    (folder / "bad.py").write_text("raise SystemExit('it is broken')")
    src = ScriptRunConfig(source_directory=".", script="bad.py", environment=Environment.get(ws, "current"))

    run = Experiment(ws, "bad").submit(src)
    with pytest.raises(RunError, match="it is broken"):
        run.wait_for_completion()

    src.script = "nothing.py"
    with pytest.raises(RequestError, match="nothing"):
        Experiment(ws, "bad").submit(src)
    assert len(ws.runs) == 1


def test_the_environments_of_a_workspace_can_be_looked_at(folder: Path) -> None:
    environments = Workspace.from_config().environments

    assert environments["sklearn"].packages
    assert environments["current"].user_managed_dependencies


def test_output_shows_in_a_notebook_whose_stream_has_no_bytes(folder: Path) -> None:
    import contextlib
    import io

    ws = Workspace.from_config()
    (folder / "a.py").write_text("print('grüße')\n")
    run = Experiment(ws, "a").submit(ScriptRunConfig(script="a.py", environment=Environment.get(ws, "current")))

    with contextlib.redirect_stdout(io.StringIO()) as shown:
        run.wait_for_completion(show_output=True)

    assert shown.getvalue() == "grüße\n"


def test_exactly_one_model_is_deployed(folder: Path) -> None:
    with pytest.raises(DeploymentError, match="exactly one"):
        Model.deploy(Workspace.from_config(), "service", [])


def test_names_are_imported_when_they_are_used() -> None:
    import subprocess
    import sys

    code = (
        "import sys, amlcore; amlcore.Run; print(sorted({'sklearn', 'optuna', 'bentoml', 'hydra'} & set(sys.modules)))"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout == "[]\n"
    assert Service.__name__ == "Service"
