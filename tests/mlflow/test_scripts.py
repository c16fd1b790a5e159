"""Scripts in the style of MLflow's own examples, run by `aml run`: what they logged is what `aml show` says."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amlcore.record.record import Record
from amlcore.runs.view import RunView
from tests.mlflow.versions import VERSIONS, requirements
from tests.support.aml import Aml, Write

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).with_name("scripts")
QUICK = "+script.environment_variables.MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT=1"
"""MLflow loads each model in a new process to see what it imports, and asks for nothing that is tested here."""

Show = Callable[..., dict[str, Any]]


@pytest.fixture(params=VERSIONS)
def show(request: pytest.FixtureRequest, project: Path, aml: Aml, write: Write) -> Show:
    """Run a script of this folder in an environment with MLflow, and say what `aml show --json` says."""
    write("requirements.txt", requirements(request.param))

    def run(name: str, *overrides: str, status: int = 0) -> dict[str, Any]:
        shutil.copy(SCRIPTS / f"{name}.py", project)
        aml("run", f"{name}.py", "environment.file=requirements.txt", QUICK, *overrides, status=status)
        return dict(aml("show", "latest", "--json").json)

    return run


def children(run: dict[str, Any]) -> list[dict[str, Any]]:
    """All runs that the script started, in the order of their starts."""
    folder = Path(run["folder"])
    records = [Record(path) for path in folder.parent.glob(f"{folder.name}_*")]
    views = [RunView(record, thorough=True).details(children=[]) for record in records]
    return sorted(views, key=lambda view: view["created"])


def series(run: dict[str, Any], name: str) -> list[tuple[int, float]]:
    return [(record["step"], record["value"]) for record in run["series"] if record["name"] == name]


def test_quickstart(show: Show, project: Path) -> None:
    run = show("quickstart", "model.name=iris", "model.path=outputs/model")

    assert run["parameters"] == {"solver": "lbfgs", "max_iter": "1000", "random_state": "8888"}
    assert run["metrics"] == {"accuracy": pytest.approx(0.866666, abs=0.15), "loss": 0.2}
    assert series(run, "loss") == [(step, 1 / (1 + step)) for step in range(5)]
    assert len(series(run, "accuracy")) == 1
    assert run["tags"] == {
        "mlflow.runName": "first try",
        "mlflow.experiment": "Iris quickstart",
        "purpose": "quickstart",
    }
    assert run["model"] == "iris:1"
    model = RunView(Record(Path(run["folder"]))).summary()["model"]
    assert model == "iris:1"
    assert {file["path"] for file in run["outputs"]} >= {"outputs/model/MLmodel", "outputs/model/requirements.txt"}
    assert run["environment"]["notes"][-1].startswith("MLflow's calls go into this run")


def test_autologging(show: Show) -> None:
    run = show("autologging")

    assert run["parameters"]["alpha"] == "0.5"
    assert run["metrics"]["training_r2_score"] > 0.8
    assert run["tags"]["estimator_name"] == "Ridge"
    search, *candidates = children(run)
    assert search["parent"] == run["id"]
    assert search["parameters"]["best_alpha"] in ("0.1", "1.0", "10.0")
    assert {child["parent"] for child in candidates} == {search["id"]}
    assert {child["parameters"]["alpha"] for child in candidates} == {"0.1", "1.0", "10.0"}


def test_nested_sweep(show: Show) -> None:
    run = show("nested_sweep")

    first, second, third, broken = children(run)
    assert [child["parameters"] for child in (first, second, third)] == [{"max_depth": depth} for depth in "123"]
    assert [child["state"] for child in (first, second, third, broken)] == ["Completed"] * 3 + ["Failed"]
    assert [step for step, _ in series(first, "fold_score")] == [0, 1, 2]
    scores = [child["metrics"]["score"] for child in (first, second, third)]
    assert run["tags"]["best_depth"] == str(1 + scores.index(max(scores)))
    assert run["metrics"] == {"children": 3.0}
    assert run["state"] == "Completed"


def test_artifacts(show: Show) -> None:
    run = show("artifacts")

    assert {file["path"].removeprefix("outputs/") for file in run["outputs"]} == {
        *("notes.txt", "deep/er/notes.txt", "folder/notes.txt", "plots/squares.png", "black.png", "table.json"),
        *("settings.json", "settings.yaml", "words/hello.txt"),
    }


def test_custom_model(show: Show, project: Path) -> None:
    run = show("custom_model", "model.name=threshold", "model.mlflow=threshold")

    assert run["metrics"] == {"positives": 2.0}
    assert run["model"] == "threshold:1"
    model = Record(project / "models/threshold/1")
    assert '"path": "MLmodel"' in (model.folder / "model.json").read_text()


def test_signature(show: Show, project: Path) -> None:
    run = show("signature", "model.name=survival", "model.mlflow=survival")

    assert run["metrics"] == {"score": pytest.approx(0.8, abs=0.2)}
    about = (project / "models/survival/1/model.json").read_text()
    assert '"age"' in about
    assert '"int64"' in about
    assert {file["path"].split("/")[1] for file in run["outputs"]} == {"survival", "saved"}


def test_register(show: Show, aml: Aml) -> None:
    run = show("register")

    models = {row["name"]: row for row in aml("models", "--json").json}
    assert {name: (row["version"], row["run"]) for name, row in models.items()} == {
        "iris-linear": (1, run["id"]),
        "iris-ridge": (1, run["id"]),
    }
    assert models["iris-ridge"]["aliases"] == ["champion"]


def test_client_api(show: Show) -> None:
    run = show("client_api")

    assert run["parameters"] == {"rate": "0.01", "optimizer": "adam", "layers": "3"}
    assert series(run, "loss") == [(step, 1 / (step + 1)) for step in range(10)]
    assert run["tags"] == {"mlflow.runName": "manual", "mlflow.experiment": "by hand", "stage": "done"}
    assert run["metrics"] == {"loss": 0.1, "not_a_number": "NaN", "infinite": "Infinity"}
    assert run["state"] == "Completed"
    assert [child["tags"]["mlflow.runName"] for child in children(run)] == ["deleted"]


def test_processes_and_threads(show: Show) -> None:
    run = show("processes")

    counted = {name for name in run["metrics"] if name.startswith("from_")}
    assert len(counted) == 6
    for name in counted:
        assert series(run, name) == [(step, float(step)) for step in range(25)]
    workers = sorted(children(run), key=lambda child: child["parameters"]["number"])
    assert [child["parameters"]["number"] for child in workers] == ["0", "1", "2", "3"]
    for number, child in enumerate(workers):
        assert series(child, "value") == [(step, number * 100.0 + step) for step in range(20)]
        assert child["state"] == "Completed"


def test_four_first_starts_at_once(show: Show) -> None:
    run = show("first_starts")

    runs = [run, *children(run)]
    assert len(runs) == 4
    assert sorted(one["metrics"]["number"] for one in runs) == [0, 1, 2, 3]
    for one in runs:
        number = f"{one['metrics']['number']:.0f}"
        assert one["parameters"] == {f"of_{number}": number}


def test_a_sweep_stops_a_trial_by_what_mlflow_logs(show: Show, project: Path) -> None:
    overrides = ["+script.arguments.rate=0.9,0.1", "sweep.primary_metric=score", "sweep.goal=maximize"]
    stopping = ["sweep/early_termination=bandit", "sweep.early_termination.slack_factor=0.1"]
    run = show("early_stop", "-m", "sweep=grid", "sweep.max_concurrent_runs=1", *overrides, *stopping)

    trials = {child["parameters"]["rate"]: child for child in children(run)}
    assert trials[0.9]["state"] == "Completed"
    assert trials[0.9]["metrics"]["epochs"] == 40
    assert trials[0.1]["state"] == "Canceled"
    assert 0 < len(series(trials[0.1], "score")) < 40
    assert run["tags"]["best"] == trials[0.9]["id"]


def test_searching(show: Show) -> None:
    run = show("searching")

    runs = [run, *children(run)]
    assert [one["metrics"]["square"] for one in runs] == [0, 1, 4, 9, 16, 25]
    assert {one["tags"]["unicode"] for one in runs} == {"größe 大小"}
    assert [one["tags"]["parity"] for one in runs] == ["even", "odd"] * 3


def test_datasets(show: Show) -> None:
    run = show("datasets")

    assert [(one["name"], one["context"]) for one in run["datasets"]] == [("train", "training"), ("test", "testing")]
    assert run["metrics"] == {"rows": 3.0}


def test_boosting(show: Show) -> None:
    run = show("boosting")

    assert [step for step, _ in series(run, "auc")] == list(range(8)) or len(series(run, "test-auc")) == 8
    (xgboost,) = children(run)
    assert [step for step, _ in series(xgboost, "test-logloss")] == list(range(8))
    assert xgboost["parameters"]["num_boost_round"] == "8"


CHILD_MODEL = """
import mlflow
from sklearn.linear_model import Ridge

with mlflow.start_run():
    with mlflow.start_run(nested=True):
        mlflow.log_metric("r2", 0.5)
        mlflow.sklearn.log_model(Ridge().fit([[0], [1]], [0, 1]), "inner", registered_model_name="asked")
"""


def test_models_of_a_child_run(show: Show, write: Write, aml: Aml) -> None:
    write("child.py", CHILD_MODEL)
    aml("run", "child.py", "environment.file=requirements.txt", QUICK, "model.name=configured", "model.mlflow=inner")
    run = aml("show", "latest", "--json").json

    (child,) = children(run)
    models = aml("models", "--json").json
    assert {(model["name"], model["run"]) for model in models} == {("asked", child["id"]), ("configured", child["id"])}
    assert models[0]["metrics"] == {"r2": 0.5}
    assert (run["model"], child["model"]) == ("configured:1", "configured:1")


ENDINGS = """
import sys
import mlflow

with mlflow.start_run():
    mlflow.log_metric("reached", 1)
    if sys.argv[1] == "raise":
        raise RuntimeError("on purpose")
    if sys.argv[1] == "exit":
        sys.exit(3)
try:
    with mlflow.start_run():
        raise ValueError("expected")
except ValueError:
    mlflow.set_tag("caught", "yes")
    mlflow.end_run()
"""


@pytest.mark.parametrize(
    ("how", "status", "state"), [("raise", 1, "Failed"), ("exit", 3, "Failed"), ("go", 0, "Completed")]
)
def test_the_script_alone_decides_how_the_run_ends(
    how: str, status: int, state: str, show: Show, write: Write, aml: Aml
) -> None:
    write("endings.py", ENDINGS)
    aml("run", "endings.py", "environment.file=requirements.txt", "--", how, status=status)
    run = aml("show", "latest", "--json").json

    assert (run["state"], run["exit_status"]) == (state, status)
    assert run["metrics"] == {"reached": 1.0}
    assert [child["state"] for child in children(run)][:1] == ["Failed"] * (how == "go")


OWN_STORE = """
import sys
import mlflow

if sys.argv[1:]:
    mlflow.set_tracking_uri(sys.argv[1])
with mlflow.start_run():
    mlflow.log_metric("elsewhere", 1)
"""


@pytest.mark.parametrize(("words", "override"), [(["file:mlruns"], "script.mlflow=true"), ([], "script.mlflow=false")])
def test_a_store_of_the_scripts_own_is_kept(
    words: list[str], override: str, show: Show, write: Write, aml: Aml
) -> None:
    write("own.py", OWN_STORE)
    allowed = "+script.environment_variables.MLFLOW_ALLOW_FILE_STORE=true"  # which MLflow 3 wants to be asked for
    said = aml("run", "own.py", "environment.file=requirements.txt", override, allowed, "--", *words)
    run = aml("show", "latest", "--json").json

    assert run["metrics"] == {}
    stores = {"/".join(file["path"].split("/")[:2]) for file in run["outputs"]}
    assert stores <= {"outputs/mlruns", "outputs/mlflow.db"}  # the default of older versions is a folder
    assert [store for store in stores if store in said.err]
    assert "kept as outputs/" in said.err
    assert "not kept" not in said.err
