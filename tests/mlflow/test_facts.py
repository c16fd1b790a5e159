"""What MLflow is told of a run, and what amlcore shows of what MLflow logged; no MLflow is needed for either."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from amlcore.record.record import Record
from amlcore.runs.view import RunView
from amlcore.worker.files import write_json
from amlcore.worker.layout import RunLayout
from amlcore.worker.metrics import new_record, write_record, write_records
from amlcore.worker.mlflow.folders import FolderSource

CREATED = "2026-01-02T03:04:05.678000+00:00"
CREATED_MS = 1767323045678


def make_run(root: Path, name: str = "20260102-030405-abcdef", *, state: str = "Running", **facts: object) -> Path:
    folder = root / "outputs" / "e" / name
    folder.mkdir(parents=True)
    write_json(str(folder / "run.json"), {"id": name, "experiment": "e", "parent": None, "created": CREATED, **facts})
    times = {"Running": 100.0, "Finalizing": 105.5} if state == "Completed" else {"Running": 100.0}
    status = {"state": state, "reason": None, "at": time.time(), "exit_status": None, "times": times, "usage": {}}
    write_json(str(folder / "state.json"), status)
    return folder


@pytest.fixture
def metrics(tmp_path: Path) -> str:
    """The folder of metrics of a run with an argument."""
    return RunLayout(make_run(tmp_path, parameters={"depth": 3}, user="anna", script="train.py", trial=7)).metrics


def facts(metrics: str) -> object:
    folder = Path(metrics).parent
    return FolderSource(str(folder.parents[2])).run(folder.name)


def test_parameters_of_the_script_stand_beside_its_arguments(metrics: str) -> None:
    write_record(metrics, "parameter", "C", value="0.1")
    write_record(metrics, "parameter", "depth", value="3.0")

    assert RunView(Record(Path(metrics).parent)).summary()["parameters"] == {"C": "0.1", "depth": 3}
    assert facts(metrics).parameters == {"C": "0.1", "depth": "3.0"}


def test_a_deleted_tag_is_gone_and_may_be_set_again(metrics: str) -> None:
    def tags() -> dict[str, object]:
        view = RunView(Record(Path(metrics).parent), thorough=True).details(children=[])
        assert facts(metrics).tags.get("kept", "absent") == (view["tags"].get("kept") or "absent")
        return view["tags"]

    write_record(metrics, "tag", "kept", value="yes")
    write_records(metrics, [new_record("tag", "kept", None, deleted=True)])
    assert tags() == {}
    write_record(metrics, "tag", "kept", value="again")
    assert tags() == {"kept": "again"}


def test_each_kind_of_value_has_its_place(metrics: str) -> None:
    write_record(metrics, "scalar", "loss", value=0.5, step=1)
    write_records(metrics, [new_record("scalar", "loss", 0.25, 2, timestamp=1234)])
    write_record(metrics, "scalar", "verdict", value="good")
    write_record(metrics, "list", "curve", value=[1, 2, 3])
    write_record(metrics, "row", "table", value={"a": 1, "b": "text"})

    run = facts(metrics)

    assert run.metrics["loss"] == (0.25, 2, 1234)
    assert {name: value[0] for name, value in run.metrics.items()} == {"loss": 0.25, "curve": 3.0, "table/a": 1.0}
    assert run.tags["verdict"] == "good"


def test_facts_of_the_record_become_mlflow_tags(metrics: str) -> None:
    run = facts(metrics)

    assert (run.name, run.user, run.status) == ("trial 7", "anna", "RUNNING")
    assert (run.started_ms, run.ended_ms) == (100000, None)
    assert run.tags["mlflow.source.name"] == "train.py"


@pytest.mark.parametrize(
    ("state", "status", "ended_ms"), [("Completed", "FINISHED", 105500), ("Queued", "SCHEDULED", None)]
)
def test_states_in_mlflows_words(tmp_path: Path, state: str, status: str, ended_ms: int | None) -> None:
    folder = make_run(tmp_path, state=state)

    run = FolderSource(str(tmp_path)).run(folder.name)

    assert run is not None
    assert (run.status, run.ended_ms) == (status, ended_ms)


def test_a_run_is_read_again_once_it_has_changed(tmp_path: Path) -> None:
    folder, source = make_run(tmp_path), FolderSource(str(tmp_path))
    first = source.run(folder.name)
    assert source.run(folder.name) is first

    write_record(RunLayout(folder).metrics, "scalar", "loss", value=1)

    again = source.run(folder.name)
    assert again is not None
    assert set(again.metrics) == {"loss"}


def test_folders_that_are_not_runs_are_skipped(tmp_path: Path) -> None:
    make_run(tmp_path)
    damaged = make_run(tmp_path, "20260102-030405-bad000")
    (damaged / "run.json").write_text("{")
    (tmp_path / "outputs/e/empty").mkdir()
    (tmp_path / "outputs/e/.mlflow").mkdir()
    source = FolderSource(str(tmp_path))

    assert [run.id for run in source.runs("e")] == ["20260102-030405-abcdef"]
    assert [(one.name, one.created_ms) for one in source.experiments()] == [("e", 1767323045000)]
    assert source.run("../e") is source.run("nothing") is None
    assert list(source.runs("other")) == list(source.runs("../outputs/e")) == []
    assert source.experiment("../outputs/e") is source.experiment("other") is None
