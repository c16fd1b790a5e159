"""MLflow outside of any run: it reads what amlcore recorded, and writes runs of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amlcore.worker.mlflow.activation import PLUGIN
from tests.mlflow.versions import VERSIONS, requirements
from tests.support.aml import Aml, Write
from tests.support.called import called
from tests.support.run_records import write_run

pytestmark = pytest.mark.slow

Python = Callable[[str], Any]

BEGIN = """
import json, math, sys
import mlflow
mlflow.set_tracking_uri("amlcore:///" + sys.argv[1].lstrip("/"))
client = mlflow.MlflowClient()
"""


@pytest.fixture(params=VERSIONS)
def python(request: pytest.FixtureRequest, project: Path, aml: Aml, write: Write) -> Python:
    """Run code with MLflow, and take the JSON that it prints last."""
    write("requirements.txt", requirements(request.param))
    interpreter = aml("env", "build", "environment.file=requirements.txt").out.strip()

    def run(code: str) -> Any:
        command = [interpreter, "-W", "ignore", "-c", BEGIN + code, str(project)]
        environment = {**os.environ, "PYTHONPATH": PLUGIN, "MLFLOW_DISABLE_TELEMETRY": "true"}
        done = subprocess.run(command, cwd=project.parent, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_a_search_finds_what_aml_runs_lists(python: Python, project: Path, aml: Aml) -> None:
    for number in range(200):
        parent = f"20260101-000{number % 6}00-{60 * (number % 6):06x}"
        write_run(
            project,
            number,
            experiment=f"e{number % 3}",
            state=("Completed", "Failed", "Canceled")[number % 7 % 3],
            parameters={"depth": number % 10, "kind": "ab"[number % 2]},
            metrics={"accuracy": number / 200, **({"odd": float("nan")} if number % 50 == 1 else {})},
            tags={"parity": str(number % 2)},
            parent=parent if number % 20 == 19 else None,
            name=f"{parent}_{number}" if number % 20 == 19 else None,
        )
    rows = {row["id"]: row for row in aml("runs", "--json", "--all", "--children").json}
    assert len(rows) == 200

    runs = python("""
runs = client.search_runs([e.experiment_id for e in mlflow.search_experiments()], max_results=1000)
print(json.dumps([
    {"id": r.info.run_id, "experiment": r.info.experiment_id, "status": r.info.status, "params": r.data.params,
     "metrics": {k: v for k, v in r.data.metrics.items() if not math.isnan(v)}, "parity": r.data.tags["parity"],
     "seconds": (r.info.end_time - r.info.start_time) / 1000, "parent": r.data.tags.get("mlflow.parentRunId"),
     "user": r.info.user_id}
    for r in runs]))
""")

    states = {"Completed": "FINISHED", "Failed": "FAILED", "Canceled": "KILLED"}
    assert {run["id"]: run for run in runs} == {
        identifier: {
            "id": identifier,
            "experiment": row["experiment"],
            "status": states[row["state"]],
            "params": {name: str(value) for name, value in row["parameters"].items()},
            "metrics": {name: value for name, value in row["metrics"].items() if value != "NaN"},
            "parity": row["tags"]["parity"],
            "seconds": row["duration_s"],
            "parent": row["parent"],
            "user": "anna",
        }
        for identifier, row in rows.items()
    }


EXPERIMENTS = ("e", "a.b", "long-" + "x" * 95)
PARAMETERS = [(3, "3"), (1e-05, "1e-05"), (-0.5, "-0.5"), (True, "true"), (None, "null"), ("größe 大小", "größe 大小")]
PARAMETERS += [([1, "two"], "[1, two]"), ("", ""), ("a=b, c", "a=b, c")]
METRICS = [0.1 + 0.2, -0.0, 5, 2**60, 1e-300, 1e308, True, float("nan"), float("inf"), float("-inf"), "good", "größe"]
SWEPT = """
import sys
from amlcore import Run
run = Run.get_context()
run.log("score", float(sys.argv[2]))
run.log("nothing", float("nan"))
run.log("verdict", "good")
run.log_list("folds", [0.1, 0.2])
run.log_row("point", x=1.5, y=2.5)
run.tag("colour", "blue")
child = run.child_run("fold")
child.log("score", float("-inf"))
child.complete()
child = run.child_run("bad")
child.fail("it was bad")
"""
STATES = {"Completed": "FINISHED", "Failed": "FAILED", "Canceled": "KILLED"}


def test_a_search_tells_what_aml_runs_lists_of_runs_of_each_kind(
    python: Python, project: Path, aml: Aml, write: Write
) -> None:
    write("swept.py", SWEPT)
    values = ["+script.arguments.x=1,2,3", "sweep.primary_metric=score", "sweep.goal=maximize"]
    aml("run", "-m", "swept.py", "environment=current", "experiment_name=swept", "sweep=grid", *values)
    logged: dict[str, dict[str, Any]] = {}
    for number in range(190):
        parameter, text = PARAMETERS[number % len(PARAMETERS)]
        metric = METRICS[number % len(METRICS)]
        folder = write_run(
            project,
            number,
            experiment=EXPERIMENTS[number % 3],
            state=("Completed", "Failed", "Canceled", "Running")[number % 4],
            parameters={"value": parameter, "number": number},
            metrics={"of it": metric, "number": number} if number % 5 else None,
            tags={"parity": str(number % 2), "empty": ""} if number % 3 else None,
        )
        logged[folder.name] = {"value": text, "number": str(number)}
    marked, archived = [f"20260101-0000{number:02}-{number:06x}" for number in (7, 8)]
    called(project, "name", marked, "baseline")
    called(project, "tag", marked, "parity=neither", "good=yes")
    called(project, "archive", archived)
    rows = {row["id"]: row for row in called(project, "runs", "--json", "--all", "--children", "--archived").json}
    assert len(rows) == 200

    found = python("""
from mlflow.entities import ViewType
everything = [e.experiment_id for e in mlflow.search_experiments()]
runs = client.search_runs(everything, run_view_type=ViewType.ALL, max_results=1000)
table = mlflow.search_runs(experiment_ids=everything, run_view_type=ViewType.ALL, max_results=1000)
assert list(table["run_id"]) == [run.info.run_id for run in runs]
print(json.dumps([
    {"id": r.info.run_id, "experiment": r.info.experiment_id, "status": r.info.status, "name": r.info.run_name,
     "parent": r.data.tags.get("mlflow.parentRunId"), "user": r.info.user_id, "parameters": r.data.params,
     "seconds": r.info.end_time and (r.info.end_time - r.info.start_time) / 1000,
     "metrics": {name: str(value) for name, value in r.data.metrics.items()},
     "tags": {name: value for name, value in r.data.tags.items() if not name.startswith(("mlflow.", "amlcore."))},
     "archived": r.info.lifecycle_stage == "deleted"}
    for r in runs]))
""")

    assert len(found) == 200
    for run in found:
        row = rows[run["id"]]
        numbers = {name: value for name, value in row["metrics"].items() if _is_number(value)}
        texts = {name: value for name, value in row["metrics"].items() if name not in numbers}
        is_trial = row["experiment"] == "swept" and row["metrics"].get("verdict") == "good"
        tables = {"folds": "0.2", "point/x": "1.5", "point/y": "2.5"} if is_trial and "colour" in row["tags"] else {}
        assert run == {
            "id": row["id"],
            "experiment": row["experiment"],
            "status": STATES[row["state"]],
            "name": row["name"] or (f"trial {row['id'].rpartition('_')[2]}" if is_trial else row["id"]),
            "parent": row["parent"],
            "user": row["user"],
            "parameters": logged.get(row["id"], {name: str(value) for name, value in row["parameters"].items()}),
            "seconds": pytest.approx(row["duration_s"], abs=0.002),
            "metrics": {name: str(float(value)).lower() for name, value in numbers.items()} | tables,
            "tags": row["tags"] | texts,
            "archived": row["archived"],
        }, run["id"]


def _is_number(value: Any) -> bool:
    """Whether a metric is a number; one that is not finite is a word in strict JSON."""
    return not isinstance(value, str) or value in ("NaN", "Infinity", "-Infinity")


def test_filters_orders_and_pages(python: Python, project: Path) -> None:
    for number in range(10):
        write_run(project, number, metrics={"accuracy": number / 10}, parameters={"depth": number})

    found = python("""
found = mlflow.search_runs(
    experiment_names=["e"], filter_string="metrics.accuracy > 0.4 and params.depth != '7'",
    order_by=["metrics.accuracy DESC"])
first = client.search_runs(["e"], max_results=4, order_by=["metrics.accuracy ASC"])
second = client.search_runs(["e"], max_results=4, order_by=["metrics.accuracy ASC"], page_token=first.token)
history = client.get_metric_history(first[1].info.run_id, "accuracy")
print(json.dumps([list(found["metrics.accuracy"]), [r.data.metrics["accuracy"] for r in second],
                  [m.value for m in history]]))
""")

    assert found == [[0.9, 0.8, 0.6, 0.5], [0.4, 0.5, 0.6, 0.7], [0.1]]


def test_what_amlcore_does_not_have_is_an_empty_list_or_refused_in_words(python: Python, project: Path) -> None:
    write_run(project, 1)

    answers = python("""
from mlflow.exceptions import MlflowException
from mlflow.tracking._model_registry.utils import _get_store as registry
from mlflow.tracking._tracking_service.utils import _get_store as tracking
answers = []
for store in (tracking(), registry()):
    for name in dir(store):
        if name.startswith(("search_", "list_")) and "logged_models" not in name:
            try:
                first = {"search_datasets": [["e"]], "search_traces": [["e"]]}.get(name, [])
                answers.append([name, [len(answer) if hasattr(answer, "__len__") else 0
                                       for answer in [getattr(store, name)(*first)]][0]])
            except (MlflowException, TypeError) as error:
                answers.append([name, type(error).__name__])
try:
    tracking().rename_experiment("e", "f")
except MlflowException as error:
    answers.append(["rename", str(error)])
print(json.dumps(answers))
""")

    assert ["rename", "amlcore does not rename experiments: an experiment is the folder of its runs"] in answers
    assert "NotImplementedError" not in {answer for _, answer in answers if isinstance(answer, str)}
    assert dict(answers[:-1])["search_experiments"] == 1


def test_a_run_of_a_notebook(python: Python, project: Path, aml: Aml) -> None:
    written = python("""
mlflow.set_experiment("My study")
with mlflow.start_run(run_name="tried") as run:
    mlflow.log_metric("x", 1.5, step=3)
    mlflow.log_param("p", "q")
    mlflow.log_text("hello", "deep/note.txt")
    with mlflow.start_run(nested=True):
        mlflow.log_metric("y", 2)
with mlflow.start_run(run_id=run.info.run_id):
    mlflow.log_metric("x", 2.5, step=4)
read = client.get_run(run.info.run_id)
files = [file.path for file in client.list_artifacts(run.info.run_id)]
text = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/deep/note.txt")
try:
    client.create_registered_model("m")
    client.create_model_version("m", f"runs:/{run.info.run_id}/deep", run.info.run_id)
    refused = ""
except Exception as error:
    refused = str(error)
print(json.dumps([run.info.run_id, read.info.status, read.data.metrics, files, text, refused]))
""")
    identifier, status, metrics, files, text, refused = written

    assert (status, metrics, files, text) == ("FINISHED", {"x": 2.5}, ["deep"], "hello")
    assert "aml register" in refused
    run = aml("show", identifier, "--json").json
    assert (run["experiment"], run["state"], run["parameters"]) == ("My-study", "Completed", {"p": "q"})
    assert run["metrics"] == {"x": 2.5}
    assert len(run["children"]) == 1


def test_loading_a_model_leaves_it_as_it_is(python: Python, project: Path, aml: Aml, write: Write) -> None:
    write(
        "train.py",
        "import mlflow\nfrom sklearn.linear_model import Ridge\n"
        "with mlflow.start_run():\n    mlflow.sklearn.log_model(Ridge().fit([[0], [1]], [0, 1]), 'm')\n",
    )
    aml("run", "train.py", "environment.file=requirements.txt", "model.name=m", "model.mlflow=m")
    before = {path: path.read_bytes() for path in project.glob("*/*/*/**/*") if path.is_file()}

    predicted = python("""
run = client.search_runs(["train"])[0].info.run_id
print(json.dumps([float(mlflow.pyfunc.load_model(uri).predict([[1]])[0]) for uri in ("models:/m/1", f"runs:/{run}/m")]))
""")

    assert predicted == [pytest.approx(0.666, abs=0.1)] * 2
    assert {path: path.read_bytes() for path in project.glob("*/*/*/**/*") if path.is_file()} == before


def test_a_name_a_note_and_tags_that_people_added(python: Python, project: Path, aml: Aml) -> None:
    first, second = write_run(project, 1, tags={"by": "script"}).name, write_run(project, 2).name
    aml("name", first, "baseline")
    aml("note", first, "the one to beat")
    aml("tag", first, "by=anna", "good=yes")
    aml("archive", second)

    tags, active = python(f"""
print(json.dumps([client.get_run({first!r}).data.tags, [r.info.run_id for r in client.search_runs(["e"])]]))
""")

    assert tags["mlflow.runName"] == "baseline"
    assert tags["mlflow.note.content"] == "the one to beat"
    assert (tags["by"], tags["good"]) == ("anna", "yes")
    assert active == [first]


def test_addresses_that_mean_nothing(python: Python) -> None:
    messages = python("""
messages = []
for uri in ("amlcore://host/path", "amlcore:///no/such/folder"):
    try:
        mlflow.MlflowClient(uri).search_experiments()
    except mlflow.exceptions.MlflowException as error:
        messages.append(str(error))
print(json.dumps(messages))
""")

    assert "use three slashes" in messages[0]
    assert "there is no folder" in messages[1]
