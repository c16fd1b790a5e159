"""What a script logs is recorded completely, whichever process writes and whatever the value."""

from __future__ import annotations

import io
import json
import math
import multiprocessing
import os
import re
import socket
import subprocess
import sys
import threading
import time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amlcore.record.record import Record
from amlcore.record.status import RunStatus
from amlcore.runs.run import Run as DriverRun
from amlcore.worker.files import append_line, read_json, write_json
from amlcore.worker.metrics import MetricsTail, last_by_name, last_values, read_metrics
from amlcore.worker.process_identity import current_user, identity
from amlcore.worker.run_names import create_run_folder, new_run_id
from amlcore.worker.script.context import ScriptRun as Run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The run that this process belongs to, as its driver submitted it."""
    _, folder = create_run_folder(tmp_path, "iris")
    Path(folder, "driver.json").write_text("{}")
    facts = {"id": Path(folder).name, "experiment": "iris", "parent": None, "script": "t.py", "parameters": {"C": 1}}
    Path(folder, "run.json").write_text(json.dumps(facts))
    monkeypatch.setenv("AMLCORE_RUN", folder)
    return Run.get_context()


def logged(run: Run) -> list[Any]:
    return [record["value"] for record in read_metrics(run.layout.metrics)]


def test_context_is_the_run_of_the_environment(run: Run) -> None:
    assert (run.experiment.name, run.parameters, run.parent, run.name) == ("iris", {"C": 1}, None, None)
    assert os.environ["AMLCORE_RUN"].endswith(run.id)
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{6}", run.id)
    assert Run.get_context() is run


def test_repeats_make_a_series_with_steps(run: Run) -> None:
    for step in range(3):
        run.log("loss", 1 / (step + 1), step=step, description="of training")
    run.log("accuracy", 0.5)

    records = read_metrics(run.layout.metrics)
    assert [record["step"] for record in records] == [0, 1, 2, None]
    assert records[0]["description"] == "of training"
    assert records[0].keys() == {"kind", "name", "value", "step", "at", "description"}
    assert run.get_metrics() == {"loss": [1.0, 0.5, 1 / 3], "accuracy": 0.5}
    assert run.get_metrics("accuracy") == {"accuracy": 0.5}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3),
        (True, True),
        (np.bool_(False), False),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.array(2.5), 2.5),
        (Decimal("0.25"), 0.25),
        (Fraction(1, 4), 0.25),
        (float("inf"), math.inf),
        (2**80, 2**80),
        ("rbf", "rbf"),
        (np.str_("rbf"), "rbf"),
        (b"raw", "raw"),
        (None, "None"),
        (1 + 2j, "(1+2j)"),
        (Path("a/b"), "a/b"),
        ("line\nbreak \ud800 ü", "line\nbreak \ud800 ü"),
    ],
)
def test_values_keep_their_meaning(value: object, expected: object, run: Run) -> None:
    run.log("x", value)

    (found,) = logged(run)
    assert found == expected
    assert type(found) is type(expected)


def test_nan_survives(run: Run) -> None:
    run.log("x", np.float64("nan"))
    run.log_list("y", [float("nan"), 1])

    assert math.isnan(logged(run)[0])
    assert math.isnan(logged(run)[1][0])


def test_lists_rows_and_tables(run: Run) -> None:
    run.log_list("list", np.arange(3))
    run.log_list("list", (0.5,))
    run.log_row("row", x=1, y=2)
    run.log_row("row", "described", x=np.int8(3), y=4)
    run.log_row("one", x=1)
    run.log_table("table", {"a": [1, 2], "b": np.array([0.1, 0.2])})

    assert run.get_metrics() == {
        "list": [0, 1, 2, 0.5],
        "row": {"x": [1, 3], "y": [2, 4]},
        "one": {"x": 1},
        "table": {"a": [1, 2], "b": [0.1, 0.2]},
    }


def test_table_of_a_frame(run: Run) -> None:
    pandas = pytest.importorskip("pandas")

    run.log_table("t", pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}))

    assert logged(run) == [{"a": [1, 2], "b": ["x", "y"]}]


def test_confusion_matrix_in_both_forms(run: Run) -> None:
    azure = {
        "schema_type": "confusion_matrix",
        "schema_version": "1.0.0",
        "data": {"class_labels": ["a", "b"], "matrix": [[1, 2], [3, 4]]},
    }
    run.log_confusion_matrix("given", azure)
    run.log_confusion_matrix("array", np.array([[1, 2], [3, 4]]), labels=["a", "b"])
    run.log_confusion_matrix("bare", [[1, 2], [3, 4]])

    given, array, bare = logged(run)
    assert given == array == azure
    assert bare["data"]["class_labels"] == ["0", "1"]


def test_images_from_figure_and_file(run: Run, tmp_path: Path) -> None:
    class Figure:
        def savefig(self, path: str) -> None:
            Path(path).write_bytes(b"drawn")

    (tmp_path / "plot.jpg").write_bytes(b"file")
    run.log_image("ROC / curve", plot=Figure())
    run.log_image("ROC / curve", plot=Figure())
    run.log_image("../../evil", path=str(tmp_path / "plot.jpg"))

    assert logged(run) == ["images/ROC_curve.png", "images/ROC_curve_1.png", "images/evil.jpg"]
    assert [Path(run.folder, path).read_bytes() for path in logged(run)] == [b"drawn", b"drawn", b"file"]
    submitted = DriverRun(run.folder)
    assert submitted.get_file_names() == logged(run)
    submitted.download_file("images/evil.jpg", tmp_path / "copies/one.jpg")
    submitted.download_files("images/ROC", tmp_path / "copies")
    assert (tmp_path / "copies/one.jpg").read_bytes() == b"file"
    assert (tmp_path / "copies/images/ROC_curve_1.png").read_bytes() == b"drawn"


def test_image_of_pyplot(run: Run) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.plot([1, 2])
    run.log_image("line", plot=pyplot)
    pyplot.close()

    assert Path(run.folder, "images/line.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (lambda run: run.log(0.9, "accuracy"), TypeError, "must be a name"),
        (lambda run: run.log(" ", 1), ValueError, "must not be empty"),
        (lambda run: run.log("x", [1, 2]), TypeError, "use log_list(name, values)"),
        (lambda run: run.log("x", np.ones(3)), TypeError, "use log_list(name, values)"),
        (lambda run: run.log("x", {"a": 1}), TypeError, "use log_row(name, **columns)"),
        (lambda run: run.log("x", 1, step="two"), TypeError, "step must be an integer"),
        (lambda run: run.log("x", 1, step=0.5), TypeError, "step must be an integer"),
        (lambda run: run.log("x", 1, step=math.nan), TypeError, "log('x', …, step=nan): step must be an integer"),
        (lambda run: run.log("x", 1, step=np.inf), TypeError, "log('x', …, step=inf): step must be an integer"),
        (lambda run: run.log_list("x", 1), TypeError, "use log(name, value)"),
        (lambda run: run.log_list("x", "text"), TypeError, "use log(name, value)"),
        (lambda run: run.log_list("x", [[1], [2]]), TypeError, "log_table"),
        (lambda run: run.log_row("x"), ValueError, "needs columns"),
        (lambda run: run.log_row("x", a=[1]), TypeError, "needs a single value"),
        (lambda run: run.log_table("x", [1, 2]), TypeError, "dict of columns"),
        (lambda run: run.log_table("x", {"a": [1], "b": [1, 2]}), ValueError, "a: 1, b: 2"),
        (lambda run: run.log_image("x"), ValueError, "either path= or plot="),
        (lambda run: run.log_image("x", path="a.png", plot=object()), ValueError, "either path= or plot="),
        (lambda run: run.log_image("x", plot="a.png"), TypeError, "use path= for a file"),
        (lambda run: run.log_image("x", path="absent.png"), FileNotFoundError, "absent.png"),
        (lambda run: run.log_confusion_matrix("x", [[1, 2], [3]]), ValueError, "square matrix"),
        (lambda run: run.log_confusion_matrix("x", {"matrix": []}), ValueError, "class_labels"),
        (lambda run: run.log_confusion_matrix("x", [[1]], labels=["a", "b"]), ValueError, "got 2 labels for 1 rows"),
        (lambda run: run.log_sample({"a": 1}), TypeError, "needs rows"),
        (lambda run: run.log_sample(3), TypeError, "needs rows"),
        (lambda run: run.set_tags("a"), TypeError, "needs a dict"),
        (lambda run: run.create_children(), ValueError, "either count="),
        (lambda run: run.register_model("iris", "outputs/m.pkl", tags={}), RuntimeError, "set model.name=iris in the"),
        (lambda run: run.register_model(model_name="iris"), RuntimeError, "`aml register RUN --name iris` after the"),
        (lambda run: run.upload_file(1, "a.txt"), TypeError, "must be a name"),
        (lambda run: run.upload_file("outputs/a.txt", "absent.txt"), FileNotFoundError, "there is no file absent.txt"),
        (lambda run: run.upload_file("outputs/a.txt", "/tmp"), FileNotFoundError, "there is no file /tmp"),
        *[
            (
                lambda run, name=name: run.upload_file(name, __file__),
                ValueError,
                "must be a path below outputs/ or logs/",
            )
            for name in (
                "a.txt",
                "models/a",
                "outputs",
                "outputs/",
                "/outputs/a",
                "outputs/../run.json",
                "outputs//a",
                "..",
            )
        ],
    ],
)
def test_wrong_calls_say_what_to_call(call: Any, kind: type[Exception], says: str, run: Run) -> None:
    with pytest.raises(kind, match=re.escape(says)):
        call(run)

    assert logged(run) == []


def test_tags_change_and_properties_do_not(run: Run) -> None:
    run.tag("stage", "first")
    run.set_tags({"stage": "second", "bare": None})
    run.set_properties({"author": "me"})
    run.add_properties({"author": "me", "other": 1})

    with pytest.raises(ValueError, match="property 'author' is 'me' and cannot become 'you'"):
        run.set_properties({"new": 1, "author": "you"})
    assert run.get_tags() == {"stage": "second", "bare": None}
    assert run.get_properties() == {"author": "me", "other": 1}
    assert run.get_metrics() == {}


def _sample(run: Run, rows: object) -> Any:
    run.log_sample(rows)
    return read_json(run.layout.sample)


def test_samples_of_every_form(run: Run) -> None:
    assert _sample(run, np.arange(14.0).reshape(7, 2)) == {
        "form": "array",
        "columns": None,
        "dtypes": ["float64", "float64"],
        "details": None,
        "rows": [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0], [8.0, 9.0]],
    }
    assert _sample(run, [[1, float("nan")], [2, "x"]]) == {
        "form": "list",
        "columns": None,
        "dtypes": ["object", "object"],
        "details": [{"types": ["int"], "missing": []}, {"types": ["str"], "missing": ["nan"]}],
        "rows": [[1, None], [2, "x"]],
    }
    assert _sample(run, [{"a": 1, "b": 2}, {"a": 3}]) == {
        "form": "records",
        "columns": ["a", "b"],
        "dtypes": None,
        "details": [{"types": ["int"], "missing": []}, {"types": ["int"], "missing": ["None"]}],
        "rows": [[1, 2], [3, None]],
        "records": [{"a": 1, "b": 2}, {"a": 3}],
    }
    assert _sample(run, ["some text", "more"])["rows"] == [["some text"], ["more"]]


def test_sample_of_frames(run: Run) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"n": [1, 2], "x": [0.5, None], 3: ["a", pandas.NA], "t": pandas.to_datetime(["2024-01-02"] * 2)}
    )

    sample = _sample(run, frame)

    assert sample["columns"] == ["n", "x", "3", "t"]
    assert sample["dtypes"] == [str(kind) for kind in frame.dtypes]
    assert sample["rows"] == [[1, 0.5, "a", "2024-01-02 00:00:00"], [2, None, None, "2024-01-02 00:00:00"]]
    assert _sample(run, frame["n"])["rows"] == [[1], [2]]


def test_sample_of_a_sparse_matrix(run: Run) -> None:
    sparse = pytest.importorskip("scipy.sparse")

    assert _sample(run, sparse.csr_matrix(np.eye(2)))["rows"] == [[1.0, 0.0], [0.0, 1.0]]


def test_child_runs(run: Run) -> None:
    with run.child_run("first") as child:
        child.log("x", 1)
    two, three = run.create_children(tag_key="fold", tag_values=["a", 2])
    three.fail("no data")
    with pytest.raises(KeyError), run.child_run() as broken:
        raise KeyError("gone")

    children = run.get_children()
    assert [one.id for one in children] == [f"{run.id}_{n}" for n in (1, 2, 3, 4)]
    assert (child.name, child.experiment.name, child.parent.id if child.parent else None) == ("first", "iris", run.id)
    assert [one.get_tags() for one in children] == [{}, {"fold": "a"}, {"fold": 2}, {}]
    states = [read_json(one.layout.state) for one in children]
    assert [state["state"] for state in states] == ["Completed", "Running", "Failed", "Failed"]
    assert [state["reason"] for state in states] == [None, None, "no data", "KeyError: 'gone'"]
    facts = read_json(two.layout.run)
    assert facts.keys() == {"id", "experiment", "parent", "name", "created", "script", "parameters", "host", "user"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", facts["created"])
    assert (facts["script"], facts["parameters"]) == ("t.py", {})
    assert (facts["host"], facts["user"]) == (socket.gethostname(), current_user())
    assert broken.child_run().id == f"{run.id}_4_1"
    assert len(run.get_children()) == 4


def test_child_tells_who_writes_its_state_before_it_can_be_found(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    rename = os.rename
    monkeypatch.setattr(
        os, "rename", lambda source, target: (written.append(Path(target).name), rename(source, target))
    )

    child = run.child_run()

    assert written == ["driver.json", "run.json", "state.json"]
    assert read_json(child.layout.driver) == identity()


def test_first_failure_and_first_end_of_a_child_stay(run: Run) -> None:
    with run.child_run() as failed:
        failed.fail("no data")
        failed.complete()
    with run.child_run() as ended:
        ended.complete()
        before = read_json(ended.layout.state)
    late = run.child_run()
    late.complete()
    late.fail("late")

    assert [read_json(one.layout.state)["state"] for one in (failed, ended, late)] == ["Failed", "Completed", "Failed"]
    assert read_json(failed.layout.state)["reason"] == "no data"
    assert read_json(ended.layout.state) == before


def test_state_of_a_child_is_in_the_drivers_form(run: Run) -> None:
    with run.child_run() as child:
        running = Record(Path(child.folder)).status
    failed = run.child_run()
    failed.fail()

    status = Record(Path(child.folder)).status
    assert read_json(child.layout.state).keys() == RunStatus.__dataclass_fields__.keys()
    assert (running.state, running.times, running.exit_status) == ("Running", {"Running": running.at}, None)
    assert status.times == {"Running": running.at, "Completed": status.at}
    assert (status.exit_status, Record(Path(failed.folder)).status.exit_status) == (0, 1)
    assert DriverRun(child.folder).duration_s == round(status.at - running.at, 3)


def test_uploads_of_a_script_lie_in_its_working_copy(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMLCORE_ATTEMPT", "1")
    (tmp_path / "a.txt").write_text("file")

    run.upload_file("outputs/deep/a.txt", tmp_path / "a.txt")
    run.upload_file("outputs/deep/a.txt", f"{run.folder}/attempts/1/work/outputs/deep/a.txt")  # already there
    run.upload_file(name="logs/b.bin", path_or_stream=io.BytesIO(b"bytes"))
    run.upload_file("logs/c.txt", io.StringIO("täxt"))
    child = run.child_run()
    child.upload_file("outputs/a.txt", str(tmp_path / "a.txt"))

    work = Path(run.folder, "attempts/1/work")
    assert {str(path.relative_to(work)): path.read_text() for path in work.rglob("*.*")} == {
        "outputs/deep/a.txt": "file",
        "logs/b.bin": "bytes",
        "logs/c.txt": "täxt",
    }
    assert Path(child.folder, "outputs/a.txt").read_text() == "file"


def test_a_folder_is_uploaded_with_all_below_it(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMLCORE_ATTEMPT", "1")
    work = Path(run.folder, "attempts/1/work")
    for path in ("data/a.txt", "data/deep/b.txt"):
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_text(path)

    run.upload_folder("outputs/kept/", work / "data")
    run.upload_folder("outputs", str(work / "outputs"))  # already there
    run.upload_folder(name="logs", path=work)  # the copies come to lie in the same folder

    files = sorted(str(path.relative_to(work)) for path in work.rglob("*.txt"))
    kept = ["outputs/kept/a.txt", "outputs/kept/deep/b.txt"]
    both = [*kept, "data/a.txt", "data/deep/b.txt"]
    assert files == sorted([*both, *(f"logs/{path}" for path in both)])
    with pytest.raises(FileNotFoundError, match="there is no folder absent"):
        run.upload_folder("outputs", "absent")
    with pytest.raises(ValueError, match="must be a path below outputs/ or logs/"):
        run.upload_folder("models", work / "data")


def test_a_script_asks_how_far_its_run_is(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMLCORE_ATTEMPT", "1")
    child = run.child_run()
    said = [child.get_status()]
    child.complete()

    assert [*said, child.get_status()] == ["Running", "Completed"]
    for state, seen in (("Queued", "Running"), ("Running", "Running"), ("CancelRequested", "CancelRequested")):
        write_json(run.layout.state, {"state": state})
        assert run.get_status() == seen
    monkeypatch.delenv("AMLCORE_ATTEMPT")
    write_json(run.layout.state, {"state": "Queued"})
    assert run.get_status() == "Queued"


def test_unsupported_azure_ml_calls_name_their_replacement(run: Run) -> None:
    for name, words in (
        ("log_residuals", "log_table"),
        ("submit_child", "child_run"),
        ("cancel", "from amlcore import"),
    ):
        with pytest.raises(AttributeError, match=rf"Run\.{name} is not available here; .*{words}"):
            getattr(Run(run.folder), name)
    with pytest.raises(AttributeError, match="object has no attribute 'no_such'"):
        _ = Run(run.folder).no_such
    assert not hasattr(run, "get_details")
    assert callable(DriverRun(run.folder).get_details)


def test_uploading_to_a_run_of_another_script_is_refused(run: Run, tmp_path: Path) -> None:
    _, folder = create_run_folder(tmp_path, "iris")
    Path(folder, "config.yaml").touch()

    with pytest.raises(RuntimeError, match="is not the run of this script"):
        Run(folder).upload_file("outputs/a.txt", __file__)


def test_context_is_of_the_class_that_is_asked(run: Run) -> None:
    context = DriverRun.get_context()

    assert (type(context), type(Run.get_context()), context.id) == (DriverRun, Run, run.id)
    assert DriverRun.get_context() is context
    assert type(context.child_run()) is DriverRun


def _log_many(number: int) -> None:
    run = Run.get_context()
    for step in range(200):
        run.log("x", number, step=step)


def test_eight_processes_and_threads_lose_and_tear_nothing(run: Run) -> None:
    run.log("before", 1)  # a fork must not go on in its parent's file
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_log_many, args=(number,)) for number in range(8)]
    threads = [threading.Thread(target=_log_many, args=(number,)) for number in range(8, 11)]
    everyone: list[Any] = [*processes, *threads]
    for one in everyone:
        one.start()
    for one in everyone:
        one.join()

    records = [record for record in read_metrics(run.layout.metrics) if record["name"] == "x"]
    assert sorted((record["value"], record["step"]) for record in records) == [
        (number, step) for number in range(11) for step in range(200)
    ]
    assert len(os.listdir(run.layout.metrics)) == 9


def test_tail_reads_what_is_new_and_waits_for_whole_lines(run: Run) -> None:
    tail = MetricsTail(run.layout.metrics)
    assert tail.read_new() == []
    run.log("x", 1)
    assert [record["value"] for record in tail.read_new()] == [1]
    assert tail.read_new() == []

    other = Path(run.layout.metrics, "other.jsonl")
    other.write_text('{"kind": "scalar", "name": "y", "value": 2, "at": 1.0}\n{"kind": "sca')
    assert [record["value"] for record in tail.read_new()] == [2]
    with other.open("a") as stream:
        stream.write('lar", "name": "y", "value": 3, "at": 2.0}\n{"torn\n')
    append_line(str(other), {"kind": "scalar", "name": "y", "value": 4, "at": 0.5})

    assert [record["value"] for record in tail.read_new()] == [4, 3]
    assert [record["value"] for record in read_metrics(run.layout.metrics)] == [4, 2, 3, 1]


@pytest.mark.parametrize(
    "change",
    [
        {"name": None},
        {"name": 3},
        {"kind": "other"},
        {"kind": []},
        {"at": "now"},
        {"at": None},
        {"at": math.nan},
        {"kind": "row"},
        {"kind": "list"},
    ],
)
def test_lines_that_are_no_records_are_passed_over(change: dict[str, Any], run: Run) -> None:
    run.log("x", 1)
    other = Path(run.layout.metrics, "other.jsonl")
    proper = {"kind": "scalar", "name": "x", "value": 2, "at": 1.0}
    append_line(str(other), {**proper, **change})
    for missing in proper:
        append_line(str(other), {key: value for key, value in proper.items() if key != missing})
    other.write_text(other.read_text() + "3\n[]\nnull\n{}\n")

    assert run.get_metrics() == {"x": 1}
    assert last_values(run.layout.metrics, "scalar") == {"x": 1}


def test_last_values_are_those_of_all_records(run: Run) -> None:
    names = ["x", 'quoted ", "value": 3', "ü", "x\n"]
    for step in range(50):
        run.log(names[step % 4], step, step=step)
        run.log_row(names[step % 4], x=step)
        run.tag("t", step)
    other = Path(run.layout.metrics, "other.jsonl")
    append_line(str(other), {"at": 1.0, "value": 2, "name": "old", "kind": "scalar"})
    append_line(str(other), {"kind": "scalar", "name": "x", "value": -1, "at": 1.0})

    def check() -> None:
        for kind in ("scalar", "row", "tag", "property"):
            assert last_values(run.layout.metrics, kind) == last_by_name(read_metrics(run.layout.metrics), kind)

    check()
    with other.open("a") as stream:
        stream.write(
            '{"kind": "scalar", "name": "old", "value": {"torn": 1}\n{"kind": "scalar", "name": "old", "value": 3}\n'
        )
    check()
    assert last_values(run.layout.metrics, "scalar")["old"] == 2


def test_last_values_of_many_records_are_cheap(run: Run) -> None:
    os.makedirs(run.layout.metrics)
    line = '{{"kind": "scalar", "name": "loss", "value": {0}, "step": {0}, "at": {0}.5}}\n'
    Path(run.layout.metrics, "many.jsonl").write_text("".join(map(line.format, range(100_000))))

    def seconds(read: Any) -> float:
        start = time.process_time()
        read()
        return time.process_time() - start

    few = min(seconds(lambda: last_values(run.layout.metrics, "scalar")) for _ in range(3))
    assert few < min(seconds(lambda: read_metrics(run.layout.metrics)) for _ in range(3)) / 3


def test_ids_are_unique(tmp_path: Path) -> None:
    made = [create_run_folder(tmp_path, "e") for _ in range(50)]

    assert len({name for name, _ in made}) == 50
    assert all(Path(folder) == tmp_path / "outputs/e" / name for name, folder in made)
    assert len(new_run_id()) == 22


# Outside of a run


def _alone(folder: Path, text: str, name: str = "train.py", **variables: str) -> subprocess.CompletedProcess[str]:
    (folder / name).write_text(
        "from amlcore.worker.script.context import ScriptRun as Run\nrun = Run.get_context()\n" + text
    )
    clean = {key: value for key, value in os.environ.items() if not key.startswith("AMLCORE_")}
    return subprocess.run(
        [sys.executable, name],
        cwd=folder,
        env={**clean, **variables},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def _local_run(root: Path, experiment: str = "train") -> Run:
    (folder,) = (path for path in (root / "outputs" / experiment).iterdir() if "_" not in path.name)
    return Run(folder)


def test_metrics_logged_outside_a_run_are_kept(tmp_path: Path) -> None:
    (tmp_path / "root/.amlcore").mkdir(parents=True)
    (tmp_path / "root/.amlcore/config.json").write_text("{}")
    (tmp_path / "root/deep").mkdir()

    done = _alone(tmp_path / "root/deep", "print(run.get_metrics())\nrun.log('x', 1)\nrun.child_run()\nrun.complete()")

    run = _local_run(tmp_path / "root")
    assert (done.returncode, done.stdout) == (0, "{}\n")
    assert done.stderr == f"amlcore: no run is active; logging to ../outputs/train/{run.id}\n"
    assert run.get_metrics() == {"x": 1}
    assert read_json(run.layout.state)["state"] == "Completed"
    assert read_json(run.get_children()[0].layout.state)["state"] == "Completed"
    assert read_json(run.layout.run)["offline"] is True


def test_without_a_call_there_is_no_local_run(tmp_path: Path) -> None:
    done = _alone(tmp_path, "print(run.experiment.name, run.get_tags(), run.inputs, run.get_children(), run)")

    assert (done.stdout, done.stderr) == ("train {} {} [] Run(local)\n", "")
    assert not (tmp_path / "outputs").exists()


def test_local_run_fails_with_its_script(tmp_path: Path) -> None:
    done = _alone(tmp_path, "run.log('x', 1)\nrun.child_run()\nraise KeyError('column')")

    run = _local_run(tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith("KeyError: 'column'\n")
    for one in (run, run.get_children()[0]):
        state = read_json(one.layout.state)
        assert (state["state"], state["reason"]) == ("Failed", "KeyError: 'column'")


def test_child_processes_record_in_the_local_run_of_their_script(tmp_path: Path) -> None:
    done = _alone(
        tmp_path,
        "import multiprocessing as mp, os\n"
        "def f(i): Run.get_context().log('child', i)\n"
        "if __name__ == '__main__':\n"
        "    run.log('parent', 1)\n"
        "    for how in ('fork', 'spawn'):\n"
        "        with mp.get_context(how).Pool(1) as pool: pool.map(f, [1, 2])\n"
        "    if os.fork() == 0: raise SystemExit\n"
        "    os.wait()\n"
        '    print(open(run.layout.state).read().count(\'"state": "Running"\'))',
    )

    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert _local_run(tmp_path).get_metrics() == {"parent": 1, "child": [1, 2, 1, 2]}


def test_local_run_is_not_lost_while_its_script_lives(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import sys\nfrom amlcore.worker.script.context import ScriptRun\n"
        "run = ScriptRun.get_context()\nrun.log('x', 1)\n"
        "child = run.child_run()\nprint(child.folder, flush=True)\nsys.stdin.read()\n"
    )
    clean = {key: value for key, value in os.environ.items() if not key.startswith("AMLCORE_")}
    with subprocess.Popen(
        [sys.executable, "train.py"], cwd=tmp_path, env=clean, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as script:
        assert script.stdout
        child = script.stdout.readline().strip()
        runs = [DriverRun(child), DriverRun(_local_run(tmp_path).folder)]
        living = [one.get_status() for one in runs]
        script.kill()
        script.wait()

    assert living == ["Running", "Running"]
    assert [one.get_status() for one in runs] == ["Failed", "Failed"]
    assert "lost" in str(runs[0].status.reason)


def test_uploads_of_a_local_run_lie_in_its_own_outputs(tmp_path: Path) -> None:
    done = _alone(
        tmp_path,
        "import multiprocessing as mp\n"
        "def f(name): Run.get_context().upload_file(name, 'train.py')\n"
        "if __name__ == '__main__':\n"
        "    f('outputs/a/b.py')\n"
        "    with mp.get_context('spawn').Pool(1) as pool: pool.map(f, ['logs/c.py'])\n"
        "    try:\n        run.register_model('m')\n    except RuntimeError as error:\n        print(error)",
    )

    folder = Path(_local_run(tmp_path).folder)
    assert done.stdout.startswith("register_model('m') cannot register inside the script"), done.stderr
    assert (folder / "outputs/a/b.py").read_bytes() == (folder / "logs/c.py").read_bytes()
    assert not (tmp_path / "outputs/a").exists()


def test_local_run_is_one_for_both_classes_and_every_process(tmp_path: Path) -> None:
    done = _alone(
        tmp_path,
        "import pickle\nfrom amlcore import Run as Other\n"
        "both = [run, Other.get_context()]\n"
        "print(both[1].get_tags(), both[1].get_children(), both[1].get_status(), both[1])\n"
        "both[1].log('x', 1)\nboth[0].log('x', 2)\nboth[0].child_run().complete()\n"
        "print([isinstance(one, Other) for one in (*both, *both[0].get_children(), *both[1].get_children())])\n"
        "back = [pickle.loads(pickle.dumps(one)) for one in both]\n"
        "print([type(one) for one in back] == [Run, Other], len({one.id for one in (*both, *back)}))\n",
    )

    assert done.stdout == "{} [] Running Run(local)\n[False, True, False, True]\nTrue 1\n", done.stderr
    assert _local_run(tmp_path).get_metrics() == {"x": [1, 2]}


def test_threads_that_log_at_once_share_one_local_run(tmp_path: Path) -> None:
    done = _alone(
        tmp_path,
        "import threading\nbarrier = threading.Barrier(8)\n"
        "def f(i):\n    barrier.wait()\n    run.log('x', i)\n"
        "threads = [threading.Thread(target=f, args=(i,)) for i in range(8)]\n"
        "for one in threads: one.start()\nfor one in threads: one.join()\n",
    )

    assert done.returncode == 0, done.stderr
    assert sorted(_local_run(tmp_path).get_metrics()["x"]) == list(range(8))


def test_offline_can_be_refused(tmp_path: Path) -> None:
    done = _alone(tmp_path, "Run.get_context(allow_offline=False)")

    assert done.returncode == 1
    assert "RuntimeError: this script is not part of a run" in done.stderr


def test_an_attempt_that_was_given_up_for_lost_changes_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMLCORE_ATTEMPT", "1")
    Path(run.layout.attempt(1).folder).mkdir(parents=True)
    run.log("step", 1)
    Path(run.layout.attempt(2).folder).mkdir()

    run.log("step", 2)
    run.log_sample([[2.0]])
    run.tag("late", "yes")

    assert logged(run) == [1]
    assert not Path(run.layout.sample).exists()
    assert [record["name"] for record in read_metrics(f"{run.layout.attempt(1).folder}/metrics")] == ["step", "late"]
    monkeypatch.setenv("AMLCORE_ATTEMPT", "2")
    run.log("step", 3)
    assert logged(run) == [1, 3]


def test_the_mean_of_folds_reads_only_what_is_new(run: Run) -> None:
    assert (run.log_fold("a", 1), run.log_fold("b", 5)) == (1, 5)
    (file,) = Path(run.folder, "metrics").glob("*.jsonl")
    file.write_bytes(b"#" * (file.stat().st_size - 1) + b"\n")
    assert (run.log_fold("a", 3), run.log_fold("b", 6)) == (2, 5.5)
