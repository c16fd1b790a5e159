"""Runs end properly despite obstacles: odd names, signals, folders in the way, readers that have stalled."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from amlcore.config import compose
from amlcore.execution.submission import new_folder
from amlcore.record.record import Record
from amlcore.runs import lifecycle
from amlcore.runs.models import last_model, record_model
from tests.support.aml import GO, HERE, SLOW_PICKLE, Aml, Write, background, runs, until


def test_names_in_logs_that_are_taken_cost_no_file(project: Path, aml: Aml, write: Write) -> None:
    write(
        "a.py",
        "import os\n"
        "for name in ('stdout.txt', 'stdout.script.txt'): open(f'logs/{name}', 'w').write(name)\n"
        "for name in ('stderr.txt', 'stderr.script.txt'): os.makedirs(f'logs/{name}/d')\n",
    )
    aml("run", "a.py", HERE)

    logs = Path(runs(aml)[0]["folder"]) / "logs"
    assert {path.read_text() for path in logs.glob("stdout.*") if path.is_file()} == {
        *("", "stdout.txt", "stdout.script.txt")
    }
    assert sorted(path.name for path in logs.glob("stderr.*/d/..")) == ["..", ".."]


def test_outputs_that_cannot_be_kept_fail_the_run_alone(tmp_path: Path) -> None:
    record = Record(tmp_path)
    (tmp_path / "attempts/1/work/outputs").mkdir(parents=True)
    (tmp_path / "attempts/1/work/outputs/x").touch()
    done = {"reason": None, "message": None, "signal": None, "exit_status": 0}
    (tmp_path / "attempts/1/result.json").write_text(json.dumps(done))
    (tmp_path / "outputs").write_text("in the way")

    lifecycle.finalize(record)

    assert (record.status.state, record.status.exit_status) == ("Failed", 1)
    assert str(record.status.reason).startswith("what the script wrote could not be kept: ")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_driver_that_ends_before_the_model_is_registered_says_so(
    number: signal.Signals, project: Path, aml: Aml, write: Write
) -> None:
    write("train.py", SLOW_PICKLE.replace("{0}", str(project)))
    with background(project, "run", "train.py", HERE, "model.name=slow") as driver:
        until((project / "loading").exists)
        driver.send_signal(number)
        driver.wait(20)
    status = 130 if number == signal.SIGINT else 1

    assert aml("wait", "latest", status=status)
    (run,) = runs(aml)

    assert (run["state"], run["model"]) == ("Completed", None)
    assert run["reason"] == (
        f"its driver ended before slow was registered: aml register {run['id']} --name slow --path outputs/model.joblib"
    )
    assert not (Path(run["folder"]) / "driver.json").exists()


@pytest.mark.parametrize("verb", ["run", "rerun"])
def test_a_driver_ended_by_a_signal_cancels_its_run(verb: str, project: Path, aml: Aml, write: Write) -> None:
    write("a.py", GO)
    (project / "go").touch()
    aml("run", "a.py", HERE, "--", str(project / "go"))
    (project / "go").unlink()
    command = ["run", "a.py", HERE, "--detach", "--", str(project / "go")] if verb == "run" else ["rerun", "latest"]
    with background(project, *command):
        begun = until(lambda: len(runs(aml)) == 2 and runs(aml)[0]["state"] == "Running" and runs(aml)[0])
        driver = json.loads((Path(begun["folder"]) / "driver.json").read_text())
        os.kill(driver["pid"], signal.SIGTERM)
        until(lambda: runs(aml)[0]["state"] == "Canceled")
    assert len(runs(aml)) == 2
    assert runs(aml)[1]["state"] == "Completed"


def test_outputs_may_be_a_link_and_models_a_package(tmp_path: Path, project: Path, aml: Aml, write: Write) -> None:
    (tmp_path / "big").mkdir()
    (project / "outputs").symlink_to(tmp_path / "big")
    write("models/__init__.py", "")
    write("models/net.py", "X = 1")
    write("models/iris/1/model.json", "{}")
    write(
        "w.py",
        "import os\nfrom models.net import X\nassert not os.path.exists('models/iris')\nopen('outputs/x', 'w').close()",
    )
    aml("run", "w.py", HERE)

    details = aml("show", "latest", "--json").json
    assert (details["state"], [item["path"] for item in details["outputs"]]) == ("Completed", ["outputs/x"])


def test_a_rerun_needs_nothing_but_the_record_and_stays_in_its_workspace(
    tmp_path: Path, project: Path, aml: Aml, write: Write
) -> None:
    write("src/a.py", "print(open('data.txt').read(), open(__import__('sys').argv[1]).read())")
    write("src/data.txt", "kept")
    write("rows.txt", "rows")
    write("r.txt", "")
    environment = ("environment=file", "environment.file=r.txt", "workspace.environments_folder=envs")
    aml("run", "src/a.py", *environment, "+script.inputs.rows=rows.txt", "--", "${input:rows}")
    shutil.copytree(project, tmp_path / "copy", symlinks=True)
    shutil.rmtree(tmp_path / "copy/src")
    (tmp_path / "copy/r.txt").unlink()
    project.rename(tmp_path / "gone")

    assert aml("rerun", "latest", cwd=tmp_path / "copy").out == "kept rows\n"

    folders = [run["folder"] for run in aml("runs", "--json", cwd=tmp_path / "copy").json]
    assert len(folders) == 2
    assert not project.exists()
    assert len(list((tmp_path / "gone/outputs/a").iterdir())) == 1


def test_a_run_is_canceled_while_its_environment_does_not_come(project: Path, aml: Aml, write: Write) -> None:
    write("a.py", "print(1)")
    write("r.txt", "six")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # an index that takes the question and never answers
        environment = ("environment=file", "environment.file=r.txt", "workspace.environments_folder=envs")
        index = {"UV_INDEX_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/simple", "UV_NO_CACHE": "1"}
        aml("run", "a.py", *environment, "--detach", env=index)
        with silent.accept()[0]:
            aml("cancel", "latest")

    assert runs(aml)[0]["state"] == "Canceled"
    until(lambda: not list((project / "envs/locks").glob("*.guard")))


def test_a_reader_that_stands_still_stops_neither_the_run_nor_its_cancellation(
    project: Path, aml: Aml, write: Write
) -> None:
    write("a.py", "import time\nprint('x' * 2_000_000, flush=True)\nopen('outputs/said', 'w')\ntime.sleep(4711)\n")
    with background(project, "run", "a.py", HERE) as driver:
        until(lambda: list(project.glob("outputs/a/*/attempts/1/work/outputs/said")))
        assert "Canceled" in aml("cancel", "latest").err
        assert driver.stdout is not None
        assert len(driver.stdout.read()) == 2_000_001
        assert driver.wait(20) == 130


def test_a_run_started_by_its_script_is_not_canceled_from_outside(project: Path, aml: Aml, write: Write) -> None:
    write("a.py", "from amlcore import Run\nRun.get_context().child_run('c').log('x', 1)\ninput()\n")
    script = subprocess.Popen(
        [sys.executable, "a.py"], cwd=project, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        until(lambda: len(runs(aml, "--children")) == 2)
        child, parent = sorted(runs(aml, "--children"), key=lambda run: run["parent"] is None)
        assert f"(process {script.pid} on" in aml("cancel", parent["id"], status=2).err
        assert f"started by the script of run {parent['id']}" in aml("cancel", child["id"], status=2).err
    finally:
        script.communicate("\n", timeout=20)


def test_a_run_whose_folder_is_removed_is_one_message(project: Path, aml: Aml, write: Write) -> None:
    write("a.py", GO)
    with background(project, "run", "a.py", HERE, "--", str(project / "go")) as driver:
        assert driver.stdout is not None
        driver.stdout.readline()
        (project / "outputs/a").rename(project / "trash")
        (project / "go").touch()
        assert driver.wait(30) == 1
        assert driver.stderr is not None
        said = driver.stderr.read()
    assert "was removed while its run was in progress" in said
    assert "Traceback" not in said

    write("outputs/b", "")
    assert "outputs/b, which is not a folder" in aml("run", "a.py", HERE, "experiment_name=b", status=2).err


def test_latest_where_no_run_can_be_read(aml: Aml, write: Write) -> None:
    write("outputs/e/bad/run.json", "{")
    assert "run 'latest': no run here can be read" in aml("show", "latest", status=2).err


def test_a_request_that_cannot_be_recorded_leaves_nothing(project: Path, aml: Aml, write: Write) -> None:
    write("a.py", "print(1)")
    said = aml("run", "a.py", HERE, "--", os.fsdecode(b"\xff"), status=2)
    assert r"script.arguments: '\udcff' is not valid UTF-8" in said.err
    job = compose(["script=script", "script.script=a.py", HERE], root=project)

    with pytest.raises(OSError, match="No space left"), new_folder(job):
        raise OSError(errno.ENOSPC, "No space left on device")

    assert not list(project.glob("outputs/a/*"))


def test_overrides_are_kept_as_yaml(aml: Aml, write: Write) -> None:
    write("a.py", "print(1)")
    overrides = [HERE, "+script.environment_variables={A: 'b: c', B: '#d'}", "experiment_name=e"]
    aml("run", "a.py", *overrides)

    kept = yaml.safe_load((Path(runs(aml)[0]["folder"]) / "overrides.yaml").read_text())
    assert kept[-3:] == overrides


def test_the_queue_of_a_run_that_was_killed_with_all_its_processes_is_removed(
    project: Path, aml: Aml, write: Write
) -> None:
    write("a.py", GO)
    with background(project, "run", "a.py", HERE, "--", str(project / "go")) as driver:
        assert driver.stdout is not None
        driver.stdout.readline()
        driver.kill()
        driver.wait()
    (queue_folder,) = (project / ".amlcore/queue").iterdir()
    pgrep = subprocess.run(["pgrep", "-f", str(queue_folder)], capture_output=True, text=True, check=True)
    for pid in map(int, pgrep.stdout.split()):  # a worker, what it forked for the run, and so the script
        os.kill(pid, signal.SIGKILL)
    until(lambda: runs(aml)[0]["state"] == "Failed")

    (project / "go").touch()
    aml("run", "a.py", HERE, "--", str(project / "go"))

    assert not queue_folder.exists()


@pytest.mark.parametrize("sweep", [(), ("-m", "+script.arguments.x=1,2", "sweep.primary_metric=s")])
def test_a_signal_to_all_processes_cancels_whoever_has_it_first(
    sweep: tuple[str, ...], project: Path, aml: Aml, write: Write
) -> None:
    write("a.py", "import time\nopen('outputs/begun', 'w').close()\ntime.sleep(600)")
    with background(project, "run", "a.py", HERE, *sweep) as driver:
        begun = until(lambda: next(project.glob("outputs/a/*/attempts/1/work/outputs/begun"), None))
        claim = json.loads((begun.parents[2] / "claim.json").read_text())
        for number in (claim["script"]["pid"], claim["worker"]["pid"], driver.pid):
            os.kill(number, signal.SIGTERM)
            time.sleep(0.05)
        assert driver.wait(60) == 130

    assert {run["state"] for run in runs(aml, "--children")} == {"Canceled"}


@pytest.mark.parametrize("left", [b"", b'{"model": "a:1", "at": "2026-01-01T00:00:00+00:00"}\n'])
def test_a_torn_line_after_a_power_cut_hides_no_model(left: bytes, tmp_path: Path) -> None:
    record = Record(tmp_path)
    path = Path(record.layout.models)
    path.write_bytes(left + b"\0" * 60)
    assert last_model(record) == ("a:1" if left else None)

    record_model(record, "b:2")

    assert last_model(record) == "b:2"
    assert [json.loads(line)["model"] for line in path.read_bytes().splitlines()] == ["a:1", "b:2"][not left :]


@pytest.mark.parametrize("content", [b"", b"\0" * 80], ids=["empty", "NULs"])
@pytest.mark.parametrize("blank", ["state", "request", "environment lock", "queued state", "claim result state"])
def test_a_run_whose_files_a_power_cut_left_blank_is_lost_and_not_damaged(
    blank: str, content: bytes, project: Path, aml: Aml, write: Write
) -> None:
    write("a.py", "print(1)\n")
    aml("run", "a.py", HERE)
    folder = Path(runs(aml)[0]["folder"])
    layout = Record(folder).layout
    driver = {"host": socket.gethostname(), "boot": "before", "pid": 1, "started": 1, "uid": os.getuid()}
    Path(layout.driver).write_text(json.dumps(driver))
    attempt = layout.attempt(1)
    Path(attempt.result).unlink()
    status = json.loads(Path(layout.state).read_text())
    Path(layout.state).write_text(json.dumps({**status, "state": "Running"}))
    files = {"claim": attempt.claim, "result": attempt.result}
    for name in blank.split():
        Path(files.get(name) or getattr(layout, name)).write_bytes(content)

    first, second = (json.loads(aml("show", folder.name, "--json").out) for _ in range(2))

    assert first["state"] == second["state"] == "Failed"
    assert first["reason"] == second["reason"]
    assert "damaged" not in first["reason"]
