"""The flow as a user calls it: `aml run` and the verbs around it, with real scripts in real processes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from amlcore.worker.process_identity import is_alive
from tests.support.aml import GO, HERE, TRAIN, Aml, Write, background, runs, until

# Ignores SIGTERM.
DEAF = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('begun', flush=True)\ntime.sleep(4711)\n"


def sleepers() -> list[str]:
    """The processes that the test's scripts left behind: those that sleep for 4711 seconds."""
    pgrep = subprocess.run(["pgrep", "-f", "^sleep 4711"], capture_output=True, text=True, check=False)
    return pgrep.stdout.split()


def test_an_empty_list_says_whether_there_is_a_workspace(aml: Aml, project: Path, tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    for verb in ("runs", "models"):
        assert aml(verb).out == ""
        assert f"aml: no {verb} in {project} yet" in aml(verb).err
        assert f"aml: no {verb}: {outside} is not in a workspace" in aml(verb, cwd=outside).err
        assert aml(verb, "--json", cwd=outside).json == []
    assert f"no runs in {project} yet" in aml("runs", "--experiment", "nope").err


def test_an_experiment_without_runs_is_told_from_those_that_have_some(aml: Aml, write: Write) -> None:
    write("fits.py", "")
    aml("run", "fits.py", "environment=current")
    assert "no runs of experiment 'fit'; did you mean 'fits'?" in aml("runs", "--experiment", "fit").err


def test_a_script_runs_where_there_is_nothing_else(tmp_path: Path, aml: Aml) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare/hello.py").write_text("import sys\nprint('hello', sys.argv[1:])\n")

    said = aml("run", "hello.py", HERE, "--", "--to", "you = me", "a'b", cwd=tmp_path / "bare")

    assert said.out == """hello ['--to', 'you = me', "a'b"]\n"""
    (run,) = aml("runs", "--json", cwd=tmp_path / "bare").json
    assert (run["state"], run["experiment"], run["parameters"]) == (
        "Completed",
        "hello",
        {"to": "you = me", "args": ["a'b"]},
    )


def test_json_keys_of_a_run_are_stable(project: Path, aml: Aml, write: Write) -> None:
    write("a.py", "print(1)")
    aml("run", "a.py", HERE)

    assert list(runs(aml)[0]) == [
        "id",
        "name",
        "experiment",
        "parent",
        "state",
        "reason",
        "script",
        "parameters",
        "metrics",
        "tags",
        "note",
        "archived",
        "model",
        "attempt",
        "created",
        "duration_s",
        "user",
        "folder",
    ]


def test_show_tells_what_a_run_was_made_of(project: Path, aml: Aml, write: Write) -> None:
    subprocess.run(["git", "init", "-q", str(project)], check=True)
    git = ["git", "-C", str(project), "-c", "user.name=a", "-c", "user.email=a@b"]
    write("src/a.py", "open('outputs/x.txt', 'w').write('x')")
    write("data.csv", "a,b\n1,2\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)

    aml("run", "src/a.py", HERE, "+script.inputs.data=data.csv")
    details = aml("show", "latest", "--json").json

    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert (details["git"]["commit"], details["git"]["dirty"]) == (commit, False)
    assert details["inputs"]["data"]["sha256"] == hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    assert [item["path"] for item in details["outputs"]] == ["outputs/x.txt"]
    assert details["snapshot"]["files"] == 1
    assert details["usage"]["max_rss_bytes"] > 1e6
    assert {"Preparing", "Queued", "Running", "Finalizing", "Completed"} <= set(details["times"])
    write("src/a.py", "print(2)")
    aml("run", "src/a.py", HERE)
    assert aml("show", "latest", "--json").json["git"]["dirty"] is True


def test_a_failing_script_passes_its_exit_status_on(aml: Aml, write: Write) -> None:
    write("a.py", "import sys\nprint('so far')\nprint('why it failed', file=sys.stderr)\nsys.exit(7)")

    said = aml("run", "a.py", HERE, status=7)

    assert said.out == "so far\n"
    assert "exit status 7" in said.err
    assert "| why it failed" in said.err
    assert "full log:" in said.err
    (run,) = runs(aml)
    assert (run["state"], run["reason"]) == ("Failed", "the script ended with exit status 7")
    assert aml("wait", "latest", status=7).status == 7


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["run"], ["script.script is not set", "aml run train.py"]),
        (["run", "trian.py"], ["trian.py", "did you mean 'train.py'"]),
        (
            ["run", "script.source_directory=nowhere", "script.script=a.py"],
            ["source_directory", "nowhere", "does not exist"],
        ),
        (["run", "script.source_directory=train.py", "script.script=a.py"], ["source_directory", "is a file"]),
        (["run", "script.script=../train.py", "script.source_directory=sub"], ["../train.py", "outside"]),
        (["run", "train.py", "environment=sklern"], ["environment=sklern", "did you mean 'sklearn'"]),
        (["run", "sbu/train.py"], ["error: sbu/train.py: no such file; did you mean train.py?"]),
        (["run", "nowhere/a.py"], ["error: nowhere/a.py: no such file\n"]),
        (["run", "Train.py"], ["error: Train.py: no such file; did you mean train.py?"]),
        (["run", "train.py", "+script.inputs.data="], ["script.inputs.data=''", "give a path"]),
        (["run", "train.py", "+script.inputs.data={path: ''}"], ["script.inputs.data=''", "give a path"]),
        (
            ["run", "train.py", "workspace.environments_folder="],
            ["workspace.environments_folder=''", "must be a folder"],
        ),
        (["run", "train.py", "=3"], ["=3: a part of the key is missing; write KEY=VALUE"]),
        (["run", "train.py", "+=3"], ["+=3: a part of the key is missing"]),
        (["run", "train.py", "compute..slots=3"], ["compute..slots=3: a part of the key is missing"]),
        (["run", "-m", "train.py", ".slots=1,2"], [".slots=1,2: a part of the key is missing"]),
        (["run", "train.py", "compute.slot=1"], ["compute.slot", "did you mean 'slots'"]),
        (["run", "train.py", "compute.cores=many"], ["compute.cores=many", "a whole number"]),
        (["run", "train.py", "environment.file=no.txt"], ["no.txt"]),
        (["run", "train.py", "environment.file=bad.yml"], ["bad.yml"]),
        (["run", "train.py", "+script.inputs.data=no.csv"], ["script.inputs.data", "no.csv", "no such file"]),
        (["run", "train.py", "--", "${input:data}"], ["${input:data}"]),
        (["run", "train.py", "deployment=bento"], ["model.name=NAME"]),
        (
            ["run", "train.py", "model.name=m", "model.path=model.joblib"],
            ["model.path=model.joblib", "outputs/model.joblib"],
        ),
        (
            ["run", "train.py", "model=sklearn", "model.name=mmm", "deployment=bento", "deployment.workers=4"],
            ["deployment.workers=4", "at most 1"],
        ),
        (
            ["run", "train.py", "model.name=mmm", "deployment=bento", "environment=sklearn", "environment.python=3.8"],
            ["python 3.8 is requested (environment.python)", "BentoML", "environment.python=3.11"],
        ),
        (
            [
                *("run", "-m", "train.py", "environment=current,old", "sweep.primary_metric=m"),
                *("model.name=mmm", "deployment=bento"),
            ],
            ["python 3.8 is requested (environment.python)", "BentoML"],
        ),
        (
            [
                *("run", "-m", "train.py", "environment=sklearn", "environment.python=3.11,3.8"),
                *("sweep.primary_metric=m", "model.name=mmm", "deployment=bento"),
            ],
            ["python 3.8 is requested (environment.python)", "BentoML"],
        ),
        (["run", "train.py", "environment=file"], ["environment.file is not set"]),
        (["run", "train.py", "deployment=bento", "model.name=a_b"], ["deployment.name=a-b"]),
        (["run", "train.py", "model.name=a/b"], ["model.name", "a/b"]),
        (["run", "train.py", "experiment_name=a/b"], ["experiment_name=a/b", "letters"]),
        (["run", "train.py", "other.py"], ["'other.py'", "after --"]),
        (["run", "train"], ["'train'", "aml run train.py"]),
        (["run", "-m", "train.py", "compute.slots=1,2"], ["compute.slots", "one value for all trials"]),
        (["show", "nothing"], ["'nothing'", "this workspace has no runs yet"]),
        (["deploy", "nothing"], ["nothing"]),
        (["serve", "nothing-such"], ["nothing-such"]),
        (["run", "train.py", "train.py"], ["'train.py'", "after --"]),
        (["run", "train.py", "compute.mem_gb=inf"], ["compute.mem_gb=inf"]),
        (["run", "train.py", "workspace.root=x"], ["workspace.root", "no such key"]),
        (["init", " "], ["DIR: must not be empty"]),
        (["runs", "--sort", "accuracy"], ["--sort accuracy"]),
    ],
)
def test_a_wrong_request_is_one_message_and_starts_nothing(
    arguments: list[str], parts: list[str], project: Path, aml: Aml, write: Write
) -> None:
    write("train.py", "print('ran')")
    write("bad.yml", "dependencies: [python=3.11\n")
    write("conf/environment/old.yaml", "defaults: [sklearn, _self_]\npython: '3.8'\n")
    (project / "sub").mkdir()

    said = aml(*arguments, status=2)

    assert parts
    assert [part for part in parts if part not in said.err] == [], said.err
    assert said.out == ""
    assert not list((project / "outputs").glob("*/*"))


def test_an_empty_word_means_no_run(aml: Aml, write: Write) -> None:
    """As an unset variable: `aml rm "$RUN"` must not remove the only run, whose id begins with nothing too."""
    write("t.py", "")
    aml("run", "t.py", HERE)
    before = aml("show", "latest", "--json").out

    for verb in ("show", "rm", "cancel", "wait", "logs", "archive", "rerun", "resume", "tag", "name", "compare"):
        done = aml(verb, "", *(["latest"] if verb == "compare" else []), status=2)
        assert "the name of the run is empty" in done.err
    aml("rm", "latest")
    assert "no such run in the trash" in aml("rm", "--undo", "", status=2).err
    aml("rm", "--undo")

    assert aml("show", "latest", "--json").out == before


def test_a_path_that_is_too_long_is_one_message(tmp_path: Path, aml: Aml, write: Write) -> None:
    name = "long" * 100
    write("t.py", "")
    aml("run", "t.py", HERE, "--", name)

    for words in (
        ["run", f"{name}.py"],
        ["run", "t.py", HERE, f"script.source_directory={name}"],
        ["init", f"{name}/new"],
        ["logs", "latest", name],
        ["register", "latest", "--name", "m", "--path", f"outputs/{name}"],
    ):
        done = aml(*words, status=2)
        assert "Traceback" not in done.err
        assert name in done.err
    assert len(aml("runs", "--json").json) == 1


@pytest.mark.parametrize("sweep", [(), ("-m", "compute.cores=1,2")])
def test_a_block_that_is_not_read_is_said_once(sweep: tuple[str, ...], aml: Aml, write: Write) -> None:
    write("a.py", "# /// script\n# dependencies = ['nothing-such']\n# ///\nprint('ran')\n")
    write("b.py", "# /// tool\n# dependencies = ['nothing-such']\n# ///\n")

    said = [aml("run", name, HERE, *sweep).err for name in ("a.py", "b.py")]

    assert [words.count("a.py declares its packages in a `# /// script` block") for words in said] == [1, 0]
    assert [words.count("note:") for words in said] == [1, 0]


def test_a_flag_of_the_script_is_told_where_it_belongs(aml: Aml) -> None:
    assert "-- --data x" in aml("run", "train.py", "--data", "x", status=2).err


def test_a_port_that_is_taken_or_none_is_refused(aml: Aml) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"--port {port}" in aml("serve", "wine", "--port", port, status=2).err
    assert "1 to 65535" in aml("serve", "wine", "--port", "99999", status=2).err


def test_an_experiment_chooses_the_script_of_a_project_too(tmp_path: Path, aml: Aml) -> None:
    import yaml

    folder = tmp_path / "new"
    aml("init", str(folder))
    (folder / "scripts/other.py").write_text("print('other')\n")
    (folder / "conf/script/other.yaml").write_text(
        "defaults:\n  - /schema/script@_here_\n  - _self_\nsource_directory: scripts\nscript: other.py\n"
    )
    (folder / "conf/experiment").mkdir()
    (folder / "conf/experiment/mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /script: other\n  - override /environment: current\n"
    )

    said = aml("run", "experiment=mine", "--dry-run", cwd=folder)
    chosen = aml("run", "experiment=mine", "script=train", "--dry-run", cwd=folder)

    assert (yaml.safe_load(said.out)["script"], yaml.safe_load(said.out)["environment"]["name"]) == (
        "other.py",
        "current",
    )
    assert yaml.safe_load(chosen.out)["script"] == "train.py"


def test_outputs_that_cannot_be_written_are_said(project: Path, aml: Aml, write: Write) -> None:
    write("a.py", "print(1)")
    outputs = project / "outputs"
    outputs.mkdir()
    mounted = os.geteuid() == 0
    if mounted and subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", str(outputs)], check=False).returncode:
        pytest.skip("root may write everywhere, and this machine lets nobody mount a read-only folder")
    outputs.chmod(0o555) if not mounted else None
    try:
        said = aml("run", "a.py", HERE, status=2)
    finally:
        subprocess.run(["umount", str(outputs)], check=True) if mounted else outputs.chmod(0o755)

    assert str(outputs) in said.err
    assert "is not writable" in said.err


def test_an_unresolvable_requirement_fails_the_run_in_the_resolvers_words(aml: Aml, write: Write) -> None:
    write("a.py", "print(1)")
    write("requirements.txt", "joblib==1.2.0\njoblib==1.3.0\n")

    said = aml("run", "a.py", "environment.file=requirements.txt", status=1)

    assert "joblib" in said.err
    assert "unsatisfiable" in said.err
    (run,) = runs(aml)
    assert run["state"] == "Failed"
    assert "unsatisfiable" in (Path(run["folder"]) / "logs/environment.txt").read_text()


def test_output_streams_while_the_script_runs_and_can_be_followed(project: Path, aml: Aml, write: Write) -> None:
    write(
        "a.py",
        "import sys, time\n"
        "print('first')\n"
        "open('logs/own.log', 'w').write('own words')\n"
        "while not __import__('os').path.exists(sys.argv[1]): time.sleep(0.05)\n"
        "print('last')\n",
    )
    go = project / "go"
    with background(project, "run", "a.py", HERE, "--", str(go)) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "first\n"
        (run,) = runs(aml)
        assert run["state"] == "Running"
        assert aml("logs", "latest").out == "first\n"
        assert aml("logs", "latest", "own.log").out == "own words"
        with background(project, "logs", "latest", "--follow") as follower:
            assert follower.stdout is not None
            assert follower.stdout.readline() == "first\n"
            go.touch()
            assert follower.stdout.readline() == "last\n"
            assert follower.wait(20) == 0
        assert driver.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_cancels_the_run_with_its_children(
    number: signal.Signals, project: Path, aml: Aml, write: Write
) -> None:
    write("a.py", "import subprocess\nprint('begun', flush=True)\nsubprocess.run(['sleep', '4711'])\n")
    with background(project, "run", "a.py", HERE) as driver:
        assert driver.stdout is not None
        driver.stdout.readline()
        until(sleepers)
        os.kill(driver.pid, number)
        assert driver.wait(20) == 130

    (run,) = runs(aml)
    assert run["state"] == "Canceled"
    until(lambda: not sleepers())
    assert not (Path(run["folder"]) / "attempts/1/work").exists()


def test_cancel_ends_a_run_of_another_process(project: Path, aml: Aml, write: Write) -> None:
    write("a.py", "import time\nprint('begun', flush=True)\ntime.sleep(4711)\n")
    with background(project, "run", "a.py", HERE) as driver:
        assert driver.stdout is not None
        driver.stdout.readline()
        assert "Canceled" in aml("cancel", "latest").err
        assert driver.wait(20) == 130

    assert "already ended" in aml("cancel", "latest", status=2).err


def test_a_detached_run_goes_on_and_registers(project: Path, aml: Aml, write: Write) -> None:
    write("train.py", TRAIN)

    said = aml("run", "train.py", HERE, "model.name=iris", "--detach")

    assert said.out == ""
    assert aml("wait", "latest").status == 0
    assert runs(aml)[0]["model"] == "iris:1"


def test_a_run_outlives_its_driver_and_is_settled_by_the_next_command(project: Path, aml: Aml, write: Write) -> None:
    write("a.py", GO + "open('outputs/done', 'w').write('x')\n")
    with background(project, "run", "a.py", HERE, "--", str(project / "go")) as driver:
        assert driver.stdout is not None
        driver.stdout.readline()
        driver.kill()

    assert runs(aml)[0]["state"] == "Running"
    (project / "go").touch()
    assert aml("wait", "latest").status == 0
    (run,) = runs(aml)
    assert run["state"] == "Completed"
    assert (Path(run["folder"]) / "outputs/done").read_text() == "x"


def test_an_orphan_that_ignores_sigterm_is_killed(project: Path, aml: Aml, write: Write) -> None:
    write("a.py", DEAF)
    with background(project, "run", "a.py", HERE) as driver:
        assert driver.stdout is not None
        driver.stdout.readline()
        driver.kill()
        claim = json.loads((Path(runs(aml)[0]["folder"]) / "attempts/1/claim.json").read_text())
        os.kill(claim["worker"]["pid"], signal.SIGKILL)

    aml("cancel", "latest", status=None)

    assert runs(aml)[0]["state"] in ("Canceled", "Failed")
    assert not is_alive(claim["script"])


def test_a_run_under_nohup_outlives_its_terminal(project: Path, aml: Aml, write: Write) -> None:
    write("a.py", GO)
    driver = subprocess.Popen(
        ["nohup", sys.executable, "-m", "amlcore", "run", "a.py", HERE, "--", str(project / "go")],
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert driver.stdout is not None
    with driver.stdout:
        driver.stdout.readline()
        driver.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        (project / "go").touch()
        assert driver.wait(20) == 0


def test_several_interruptions_still_cancel(project: Path, aml: Aml, write: Write) -> None:
    write("a.py", DEAF)
    with background(project, "run", "a.py", HERE) as driver:
        assert driver.stdout is not None
        driver.stdout.readline()
        for _ in range(3):
            driver.send_signal(signal.SIGINT)
            time.sleep(0.4)
        assert driver.wait(20) == 130

    assert runs(aml)[0]["state"] == "Canceled"


@pytest.mark.parametrize("damage", ["", "{", "{}", "[]", '{"state": "Odd"}'])
@pytest.mark.parametrize("file", ["run.json", "state.json", "metrics/x.jsonl", "models.jsonl"])
def test_a_damaged_record_hides_no_other_run(file: str, damage: str, project: Path, aml: Aml, write: Write) -> None:
    for name in ("good", "bad"):
        folder = f"outputs/e/{name}"
        write(f"{folder}/run.json", f'{{"id": "{name}", "experiment": "e", "created": "2026-01-01T00:00:00+00:00"}}')
        write(f"{folder}/state.json", '{"state": "Completed"}')
    write(f"outputs/e/bad/{file}", damage)
    write("outputs/foreign/readme.txt", "not ours")

    listing = aml("runs", "--json")

    assert "good" in [run["id"] for run in listing.json]
    if "bad" not in [run["id"] for run in listing.json]:
        assert "outputs/e/bad" in listing.err


@pytest.mark.parametrize("damage", ["a: [b", "[]", "3", "compute: 3", "compute: {kind: local, other: 1}"])
def test_a_damaged_configuration_is_named_where_it_is_needed(damage: str, aml: Aml, write: Write) -> None:
    write("outputs/e/bad/run.json", '{"id": "bad", "experiment": "e", "created": "2026-01-01T00:00:00+00:00"}')
    write("outputs/e/bad/state.json", '{"state": "Completed"}')
    write("outputs/e/bad/environment.json", '{"python": "python", "python_version": "3.11.1"}')
    write("outputs/e/bad/lock.txt", "six==1.16.0\n")
    write("outputs/e/bad/config.yaml", damage)

    said = aml("rerun", "bad", status=1).err

    assert "outputs/e/bad/config.yaml is damaged: " in said
    assert "Traceback" not in said


def test_latest_is_no_child(aml: Aml, write: Write) -> None:
    write("a.py", "from amlcore import Run\nwith Run.get_context().child_run('fold') as fold: fold.log('score', 1)\n")
    aml("run", "a.py", HERE)

    assert aml("show", "latest", "--json").json["parent"] is None
    (child,) = [run for run in runs(aml, "--children") if run["parent"]]
    assert (child["state"], child["metrics"]) == ("Completed", {"score": 1})


def test_streams_that_cannot_be_written_do_not_stop_a_run(project: Path, aml: Aml, write: Write) -> None:
    write("a.py", "print('x')\nopen('outputs/done', 'w').write('x')\n")
    command = f"{sys.executable} -m amlcore run a.py {HERE}"

    for redirect in (">&-", "2>&-", ">/dev/full"):
        said = subprocess.run(
            f"{command} {redirect}", shell=True, cwd=project, capture_output=True, text=True, check=False
        )
        assert "Traceback" not in said.stderr, redirect
    assert [run["state"] for run in runs(aml)] == ["Completed"] * 3


def test_a_full_disk_is_said_without_a_traceback(project: Path, aml: Aml, write: Write) -> None:
    small = project / "small"
    small.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "none", str(small)], check=False).returncode
    ):
        pytest.skip("this machine lets nobody mount a small file system")
    try:
        (small / ".azureml").mkdir()
        (small / ".azureml/config.json").write_text('{"workspace_name": "small"}')
        (small / "a.py").write_text("print(1)\n" + "#" * 60_000)
        said = aml("run", "a.py", HERE, cwd=small, status=1)
    finally:
        subprocess.run(["umount", str(small)], check=True)

    assert "No space left" in said.err
    assert "Traceback" not in said.err


def test_a_driver_lost_before_the_script_began_is_a_failed_run(project: Path, aml: Aml, write: Write) -> None:
    write("long.py", "import time\nprint('begun', flush=True)\ntime.sleep(4711)\n")
    write("a.py", "print(1)")
    with background(project, "run", "long.py", HERE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with background(project, "run", "a.py", HERE) as waiter:
            until(lambda: runs(aml)[0]["state"] == "Queued" and "compute.slots=1" in str(runs(aml)[0]["reason"]))
            waiter.kill()
            waiter.wait()
        lost = runs(aml, "--experiment", "a")[0]
        assert (lost["state"], "lost" in lost["reason"]) == ("Failed", True)
        aml("cancel", runs(aml, "--experiment", "long")[0]["id"])


def test_eight_runs_at_once_are_eight_runs(project: Path, aml: Aml, write: Write) -> None:
    write("a.py", "import os\nopen('outputs/pid', 'w').write(str(os.getpid()))\n")
    drivers = [
        subprocess.Popen(
            [sys.executable, "-m", "amlcore", "run", "a.py", HERE, "compute.slots=3"],
            cwd=project,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(8)
    ]

    assert [driver.wait(120) for driver in drivers] == [0] * 8
    summaries = runs(aml)
    assert [run["state"] for run in summaries] == ["Completed"] * 8
    assert len({(Path(run["folder"]) / "outputs/pid").read_text() for run in summaries}) == 8


def test_a_time_limit_ends_a_run(aml: Aml, write: Write) -> None:
    write("a.py", "import time\ntime.sleep(4711)\n")

    said = aml("run", "a.py", HERE, "compute.timeout_min=0.02", status=1)

    assert runs(aml)[0]["state"] == "Failed"
    assert "timeout" in said.err or "time" in said.err


def test_editing_the_source_after_submission_changes_nothing(project: Path, aml: Aml, write: Write) -> None:
    write("helper.py", "WORD = 'before'\n")
    write("a.py", "import time\nprint('begun', flush=True)\ntime.sleep(1)\nimport helper\nprint(helper.WORD)\n")
    with background(project, "run", "a.py", HERE) as driver:
        assert driver.stdout is not None
        driver.stdout.readline()
        write("helper.py", "WORD = 'after'\n")
        assert driver.stdout.readline() == "before\n"
        assert driver.wait(20) == 0


def test_targets_of_links_in_outputs_are_not_moved(tmp_path: Path, aml: Aml, write: Write) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine")
    write("a.py", "import os, sys\nos.rmdir('outputs')\nos.symlink(sys.argv[1], 'outputs')\n")
    write("b.py", "import os, sys\nos.symlink(sys.argv[1], 'outputs/link')\nopen('outputs/own', 'w').write('x')\n")

    linked = aml("run", "a.py", HERE, "--", str(precious))
    inside = aml("run", "b.py", HERE, "--", str(precious))

    assert (precious / "file").read_text() == "mine"
    assert "nothing in it was kept" in linked.err
    assert inside.status == 0
    assert [item["path"] for item in aml("show", "latest", "--json").json["outputs"]] == ["outputs/own"]


def test_a_dollar_in_an_argument_survives_detaching_and_a_rerun(aml: Aml, write: Write) -> None:
    write("a.py", "import sys\nprint(sys.argv[1:])\n")

    first = aml("run", "a.py", HERE, "--", "${a}", "\\${b}")
    aml("run", "a.py", HERE, "--detach", "--", "${a}", "\\${b}")
    aml("wait", "latest")

    assert first.out == str(["${a}", "\\${b}"]) + "\n"
    assert aml("logs", "latest").out == first.out
    assert aml("rerun", "latest").out == first.out


def test_none_on_the_command_line_overrides_an_experiment(project: Path, aml: Aml, write: Write) -> None:
    import yaml

    write("scripts/iris/train_iris.py", "print(1)")

    said = aml("run", "experiment=iris", "model=none", "deployment=none", "--dry-run")

    assert (yaml.safe_load(said.out)["model"], yaml.safe_load(said.out)["deployment"]) == (None, None)


def test_a_script_at_hand_is_not_the_projects_own_model(tmp_path: Path, aml: Aml) -> None:
    folder = tmp_path / "new"
    aml("init", str(folder))
    (folder / "other.py").write_text("print('no model')\n")

    aml("run", "other.py", HERE, cwd=folder)

    assert aml("models", "--json", cwd=folder).json == []


def test_a_rerun_whose_model_could_not_be_served_is_refused(aml: Aml, write: Write) -> None:
    write("a.py", "open('outputs/model.joblib', 'w').write('no model')")
    assert aml("run", "a.py", HERE, "model.name=mmm", "deployment=bento", status=None).status != 0
    (run,) = runs(aml)
    environment = Path(run["folder"], "environment.json")
    kept = json.loads(environment.read_text())
    environment.write_text(json.dumps({**kept, "python_version": "3.8.20"}))

    said = aml("rerun", "latest", status=2).err

    assert f"deployment: Python 3.8.20 is requested (the environment of run {run['id']}), but BentoML" in said
    assert len(runs(aml)) == 1


def test_rerun_gives_the_same_outputs(project: Path, aml: Aml, write: Write) -> None:
    write("train.py", TRAIN)
    write("data.csv", "1\n")
    aml("run", "train.py", HERE, "+script.inputs.data=data.csv")
    write("train.py", "raise SystemExit('edited since')")

    aml("rerun", "latest")

    again, first = runs(aml)
    hashes = [aml("show", run["id"], "--json").json["outputs"][0]["sha256"] for run in (again, first)]
    assert hashes[0] == hashes[1]
    assert aml("show", again["id"], "--json").json["rerun_of"] == first["id"]
    write("data.csv", "2\n")
    assert "has changed since run" in aml("rerun", first["id"], status=2).err


def test_dry_run_prints_the_request_and_starts_nothing(project: Path, aml: Aml, write: Write) -> None:
    import yaml

    write("train.py", TRAIN)

    said = aml("run", "train.py", HERE, "--dry-run", "compute.slots=2")

    request = yaml.safe_load(said.out)
    assert (request["script"], request["compute"]["slots"]) == ("train.py", 2)
    assert sorted(path.relative_to(project).as_posix() for path in project.rglob("*")) == [
        *(".amlcore", ".amlcore/config.json", "train.py"),
    ]


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (["--cfg", "job"], "slots: 3"),
        (["--cfg", "job", "--package", "compute"], "slots: 3"),
        (["--info", "defaults"], "compute/local"),
        (["--help"], "compute: local"),
    ],
)
def test_hydra_answers_its_flags_anywhere_among_the_overrides(flags: list[str], part: str, aml: Aml) -> None:
    said = aml("run", "compute.slots=3", *flags, HERE)

    assert part in said.out


@pytest.mark.parametrize(
    ("line", "choices"),
    [
        ("aml ru", {"run", "runs"}),
        ("aml res", {"resume"}),
        ("aml run compute=", {"compute=local", "compute=slurm"}),
        ("aml run compute.ti", {"compute.timeout_min="}),
        ("aml deploy ", set()),
        ("aml show l", {"latest"}),
        ("aml run --d", set()),
        ("aml run environment=skl", {"environment=sklearn", "environment=sklearn-1.2"}),
    ],
)
def test_tab_completes_verbs_groups_and_keys(line: str, choices: set[str], aml: Aml) -> None:
    said = aml("-sc", "query=bash", env={"COMP_LINE": line, "COMP_POINT": str(len(line))})

    assert set(said.out.split()) == choices


def test_tab_completion_installs(aml: Aml) -> None:
    assert "complete" in aml("-sc", "install=bash").out
    assert "SHELL must be one of bash, fish, zsh" in aml("-sc", "install=foo", status=2).err


def test_tab_completes_the_ids_of_runs(aml: Aml, write: Write) -> None:
    write("a.py", "print(1)")
    aml("run", "a.py", HERE)
    (run,) = runs(aml)

    said = aml("-sc", "query=bash", env={"COMP_LINE": f"aml logs {run['id'][:4]}"})

    assert said.out.split() == [run["id"]]


def test_two_workspaces_do_not_see_each_others_runs(tmp_path: Path, project: Path, aml: Aml, write: Write) -> None:
    write("a.py", "print(1)")
    aml("run", "a.py", HERE)
    other = tmp_path / "other"

    aml("init", str(other))

    assert aml("runs", "--json", cwd=other).json == []
    assert len(aml("runs", "--json", cwd=project).json) == 1


def test_the_workspace_is_found_from_below(project: Path, aml: Aml, write: Write) -> None:
    write("sub/deep/a.py", "print(1)")

    aml("run", "a.py", HERE, cwd=project / "sub/deep")

    assert len(runs(aml)) == 1


def test_register_names_a_file_written_beside_outputs(aml: Aml, write: Write) -> None:
    write("train.py", TRAIN.replace("outputs/model.joblib", "model.joblib"))

    said = aml("run", "train.py", HERE, "model.name=iris", status=1)

    assert "outputs/model.joblib" in said.err
    assert "outside ./outputs" in said.err
    (run,) = runs(aml)
    assert (run["state"], "outside ./outputs" in run["reason"]) == ("Completed", True)
    assert aml("wait", "latest", status=1).status == 1


def test_a_class_of_the_script_is_refused_with_the_way_out(aml: Aml, write: Write) -> None:
    write(
        "train.py",
        "import joblib\nfrom sklearn.base import BaseEstimator\n"
        "class Mine(BaseEstimator):\n    def predict(self, X): return X\n"
        "joblib.dump(Mine(), 'outputs/model.joblib')\n",
    )

    said = aml("run", "train.py", HERE, "model.name=mine", status=1)

    assert "Mine" in said.err
    assert "module" in said.err
    assert aml("models", "--json").json == []


def test_models_are_listed_with_what_they_came_from(aml: Aml, write: Write) -> None:
    write("train.py", TRAIN)
    aml("run", "train.py", HERE, "model.name=iris")
    assert aml("register", "latest", "--name", "iris").out == "iris:2\n"

    models = aml("models", "--json").json

    assert [(model["name"], model["version"]) for model in models] == [("iris", 2), ("iris", 1)]
    assert models[0]["run"] == runs(aml)[0]["id"]
    assert models[0]["metrics"]["accuracy"] > 0.9
    assert runs(aml, "--sort", "accuracy")[0]["model"] == "iris:2"


def test_nan_and_infinity_survive_as_strict_json(aml: Aml, write: Write) -> None:
    write(
        "a.py",
        "from amlcore import Run\nrun = Run.get_context()\n"
        "run.log('nan', float('nan'))\nrun.log('inf', float('inf'))\nrun.log('low', -float('inf'))\n",
    )
    aml("run", "a.py", HERE)

    text = aml("runs", "--json").out

    metrics = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))[0]["metrics"]
    assert metrics == {"nan": "NaN", "inf": "Infinity", "low": "-Infinity"}


def test_a_new_project_runs_at_once(tmp_path: Path, aml: Aml) -> None:
    folder = tmp_path / "new"

    aml("init", str(folder))
    said = aml("run", HERE, cwd=folder)

    assert "accuracy" in said.out
    assert aml("models", "--json", cwd=folder).json[0]["name"] == "wine"
    assert "already exists" in aml("init", str(folder), status=2).err


def test_a_new_project_leaves_a_gitignore_as_it_is(tmp_path: Path, aml: Aml) -> None:
    (tmp_path / ".gitignore").write_text("mine")

    aml("init", str(tmp_path))

    assert (tmp_path / ".gitignore").read_text() == "mine"
    assert (tmp_path / "scripts/train.py").exists()


def test_the_shipped_scripts_run_in_any_folder(aml: Aml) -> None:
    assert "R2" in aml("run", "script=train_penguins", HERE).out


def test_a_closed_pipe_is_no_traceback(project: Path, aml: Aml, write: Write) -> None:
    write("a.py", "for i in range(100000): print(i)\n")

    said = subprocess.run(
        f"{sys.executable} -m amlcore run a.py {HERE} | head -n 1",
        shell=True,
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )

    assert said.stdout == "0\n"
    assert "Traceback" not in said.stderr
    until(lambda: runs(aml)[0]["state"] == "Completed")
