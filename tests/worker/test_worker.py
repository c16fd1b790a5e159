"""A worker carries out requests: what a script gets, how its end is reported, and what survives."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import amlcore.worker
from amlcore.worker.files import read_json, write_json
from amlcore.worker.layout import RunLayout
from amlcore.worker.process.top_imports import certain_imports
from amlcore.worker.process_identity import is_alive
from tests.support.pythons import installed_python
from tests.support.worker_queue import HandmadeQueue, err, out

WORKER = Path(amlcore.worker.__file__).parent

Script = Callable[..., Path]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.fixture
def script(source: Path) -> Script:
    """Write the script of the source folder."""

    def write(text: str, path: str = "script.py") -> Path:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(text)
        return source

    return write


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[HandmadeQueue]:
    queue = HandmadeQueue(tmp_path / "made")
    yield queue
    queue.close()


def eventually(true: Callable[[], Any], timeout_s: float = 20) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (value := true()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return value


def waiting_for(run: RunLayout, text: str) -> None:
    eventually(lambda: Path(run.stdout).exists() and text in out(run))


# What a script is given


def test_script_gets_its_own_copy_and_its_place(script: Script, queue: HandmadeQueue) -> None:
    source = script(
        "import os, sys\n"
        "print(sys.argv, os.getcwd() == os.path.dirname(os.path.dirname(os.path.abspath(__file__))))\n"
        "print(sys.path[0] == os.path.dirname(__file__), os.environ['AMLCORE_ATTEMPT'])\n"
        "print(sorted(os.listdir('.')), os.readlink('link'), os.access('run.sh', os.X_OK))\n"
        "print(os.environ['AMLCORE_RUN'])\n"
        "open('data.txt', 'a').write('changed')\n",
        "code/train.py",
    )
    (source / "data.txt").write_text("original")
    (source / "link").symlink_to("data.txt")
    (source / "run.sh").write_text("#!/bin/sh\n")
    (source / "run.sh").chmod(0o755)

    run, result = queue.run(source, "code/train.py", ("--a", "b c"))

    assert out(run).splitlines() == [
        "['code/train.py', '--a', 'b c'] True",
        "True 1",
        "['code', 'data.txt', 'link', 'logs', 'outputs', 'run.sh'] data.txt True",
        run.folder,
    ]
    assert result["exit_status"] == 0
    assert (source / "data.txt").read_text() == "original"
    objects = [path.read_bytes() for path in queue.objects.rglob("*") if path.is_file()]
    assert b"original" in objects
    assert b"originalchanged" not in objects
    assert result["strays"] == [{"path": "data.txt", "size": len("originalchanged")}]


def test_strays_are_named_and_kept_files_are_not(script: Script, queue: HandmadeQueue) -> None:
    source = script(
        "import helper\nfor path in ('model.pkl', 'outputs/a.txt', 'logs/b.txt'):\n    open(path, 'w').write('12345')\n"
    )
    script("pass", "helper.py")

    _, result = queue.run(source)

    assert result["strays"] == [{"path": "model.pkl", "size": 5}]


def test_inputs_in_place_and_copied(script: Script, queue: HandmadeQueue, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/a.csv").write_text("1,2")
    (tmp_path / "one.csv").write_text("3,4")
    source = script(
        "import os, sys\nfrom amlcore import Run\n"
        "print(sys.argv[1:])\n"
        "inputs = Run.get_context().inputs\n"
        "print(inputs == {'set': sys.argv[1], 'my-file': sys.argv[2].split('=')[1]})\n"
        "print(os.environ['AMLCORE_INPUT_SET'] == sys.argv[1], os.environ['AMLCORE_INPUT_MY_FILE'])\n"
        "open(sys.argv[1] + '/a.csv', 'a').write('x')\n"
    )

    run, result = queue.run(
        source,
        argv=("${input:set}", "--file=${input:my-file}"),
        inputs={
            "set": {"path": str(tmp_path / "set"), "mode": "copy"},
            "my-file": {"path": str(tmp_path / "one.csv"), "mode": "in_place"},
        },
    )

    work = run.attempt(1).work
    one = str(tmp_path / "one.csv")
    assert out(run).splitlines() == [f"['{work}/inputs/set/set', '--file={one}']", "True", f"True {one}"]
    assert (tmp_path / "set/a.csv").read_text() == "1,2"
    assert result["strays"] == []


def test_copied_inputs_hold_what_their_links_lead_to(script: Script, queue: HandmadeQueue, tmp_path: Path) -> None:
    for name in ("set/empty", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "other/a.csv").write_text("1")
    (tmp_path / "set/linked").symlink_to("../other")
    (tmp_path / "set/b.csv").symlink_to("linked/a.csv")
    source = script(
        "import os, sys\n"
        "for folder, folders, names in sorted(os.walk(sys.argv[1])):\n"
        "    print(os.path.relpath(folder, sys.argv[1]), sorted(folders), sorted(names))\n"
        "open(os.path.join(sys.argv[1], 'linked/a.csv'), 'w').write('2')\n"
    )

    run, _ = queue.run(
        source, argv=("${input:set}",), inputs={"set": {"path": str(tmp_path / "set/../set"), "mode": "copy"}}
    )

    assert out(run) == ". ['empty', 'linked'] ['b.csv']\nempty [] []\nlinked [] ['a.csv']\n"
    assert (tmp_path / "other/a.csv").read_text() == "1"


@pytest.mark.parametrize("bad", ["pipe", "dangling", "loop", "name", "link"])
def test_inputs_that_cannot_be_copied_end_the_run(
    bad: str, script: Script, queue: HandmadeQueue, tmp_path: Path
) -> None:
    source = script("print(1)")
    (tmp_path / "set").mkdir()
    if bad == "pipe":
        os.mkfifo(tmp_path / "set/pipe")
    elif bad == "link":
        (source / "inputs").symlink_to("../../elsewhere")
    elif bad != "name":
        (tmp_path / "set/bad").symlink_to("gone" if bad == "dangling" else ".")

    name = "../../x" if bad == "name" else "set"
    run, result = queue.run(source, inputs={name: {"path": str(tmp_path / "set"), "mode": "copy"}})

    says = {
        "pipe": "pipe is a pipe, a socket or a device",
        "dangling": "bad is a link to gone, which does not exist",
        "loop": "bad is a link to a folder that contains it",
        "name": "would lie outside",
        "link": "would lie outside",
    }[bad]
    assert says in result["message"]
    assert result["exit_status"] is None
    assert not Path(run.attempt(1).folder, "x").exists()
    assert not Path(run.folder, "attempts/elsewhere").exists()


@pytest.mark.parametrize("link", ["link.py", "near/link.py", "folder/train.py"])
@pytest.mark.parametrize("preload", [[], ["json.tool"]])
def test_linked_script_imports_from_beside_the_real_file(
    link: str, preload: list[str], script: Script, tmp_path: Path
) -> None:
    source = script(
        "import json\nimport beside, sys\nprint(beside.NAME, json.NAME, sys.path[0][-10:])", "code/train.py"
    )
    script("NAME = 'beside'", "code/beside.py")
    script("NAME = 'mine'", "code/json.py")
    (source / "near").mkdir()
    (source / "near/link.py").symlink_to("../code/train.py")
    (source / "link.py").symlink_to("near/link.py")
    (source / "folder").symlink_to("code")
    plain = subprocess.run([sys.executable, link], cwd=source, capture_output=True, text=True, check=True)
    queue = HandmadeQueue(tmp_path / "made", preload=preload)

    run, _ = queue.run(source, link)
    queue.close()

    assert out(run).split()[:2] == plain.stdout.split()[:2] == ["beside", "mine"], err(run)
    assert out(run).endswith("/work/code\n")
    assert str(source) not in out(run)


def test_forks_of_one_worker_draw_different_numbers(script: Script, tmp_path: Path) -> None:
    queue = HandmadeQueue(tmp_path / "made", preload=["random", "numpy.random"])
    source = script("import random, numpy\nprint(random.random(), numpy.random.rand())")

    numbers = {number for _ in range(3) for number in out(queue.run(source)[0]).split()}
    queue.close()

    assert len(numbers) == 6


def test_output_appears_line_by_line(script: Script, queue: HandmadeQueue) -> None:
    run = queue.lay(script("import time\nprint('first')\ntime.sleep(60)"), kill_wait_s=0.5)
    queue.start()

    waiting_for(run, "first")

    write_json(run.cancel, {})
    assert queue.wait(run)["reason"] == "canceled"


def test_relative_pythonpath_starts_at_the_copy(script: Script, queue: HandmadeQueue) -> None:
    source = script("import inside; print(inside.__file__.endswith('/work/src/inside.py'))")
    script("", "src/inside.py")
    queue.start(PYTHONPATH="src")

    assert out(queue.run(source)[0]) == "True\n"


def test_local_modules_win_over_what_the_worker_has_loaded(script: Script, queue: HandmadeQueue) -> None:
    source = script("import socket, json\nprint(socket.NAME, json.NAME)")
    script("NAME = 'my socket'", "socket.py")
    script("NAME = 'my json'", "json/__init__.py")

    assert out(queue.run(source)[0]) == "my socket my json\n"


# How it ended


def test_syntax_error_and_missing_script_are_pythons_own(script: Script, queue: HandmadeQueue) -> None:
    run, result = queue.run(script("x = (\n"))
    gone, gone_result = queue.run(script("x = 1"), "absent.py")

    assert result["exit_status"] == 1
    assert "was never closed" in err(run)
    assert "Traceback" not in err(run)
    assert gone_result["exit_status"] == 2
    assert "can't open file" in err(gone)


@pytest.mark.parametrize(
    "code", ["2**70", "-2**70", "2**63", "2**40 + 3", "-2", "-1", "256", "True", "None", "'words'"]
)
def test_exit_status_is_pythons_own(code: str, script: Script, queue: HandmadeQueue) -> None:
    source = script(f"import sys\nsys.exit({code})")
    plain = subprocess.run([sys.executable, "script.py"], cwd=source, check=False, capture_output=True)

    _, result = queue.run(source)

    assert (result["exit_status"], result["signal"]) == (plain.returncode, None)


def test_traceback_starts_at_the_script(script: Script, queue: HandmadeQueue) -> None:
    run, _ = queue.run(script("def f():\n    raise ValueError('no')\nf()"))

    assert err(run).count("File ") == 2
    assert "amlcore/worker" not in err(run)


def test_run_that_the_script_marks_as_failed_has_no_clean_exit(script: Script, queue: HandmadeQueue) -> None:
    source = script("from amlcore import Run\nRun.get_context().fail('too few rows')\nprint('goes on')")

    run, result = queue.run(source)

    assert (result["exit_status"], out(run)) == (1, "goes on\n")
    assert "too few rows" in err(run)


def test_run_of_amlcore_itself_is_the_context_of_a_script(script: Script, queue: HandmadeQueue) -> None:
    source = script(
        "import os\nfrom amlcore import Run\nimport amlcore.azure.run\n"
        "run = Run.get_context()\nprint(type(run) is amlcore.azure.run.Run, run.id)\n"
        "os.makedirs('elsewhere')\nos.chdir('elsewhere')\n"
        "run.upload_file('outputs/a.py', __file__)\nrun.complete()\nrun.log('x', 1)\n"
    )

    run, result = queue.run(source)

    assert out(run) == f"True {Path(run.folder).name}\n", err(run)
    assert result["exit_status"] == 0
    assert Path(run.attempt(1).outputs, "a.py").read_text() == (source / "script.py").read_text()


def test_children_left_open_end_as_the_script_does(script: Script, queue: HandmadeQueue) -> None:
    source = script("import sys\nfrom amlcore import Run\nRun.get_context().child_run()\nsys.exit(int(sys.argv[1]))")

    states = [read_json(f"{queue.run(source, argv=(n,))[0].folder}_1/state.json")["state"] for n in ("0", "3")]

    assert states == ["Completed", "Failed"]


def test_result_tells_use_of_children_too(script: Script, queue: HandmadeQueue) -> None:
    busy = (
        "import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass\nx = bytearray(80_000_000)"
    )
    _, result = queue.run(script(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {busy!r}])"))

    assert 0.4 < result["cpu_s"] < 3
    assert result["max_rss_bytes"] > 80e6
    assert result["started"] < result["ended"] < time.time()


def test_end_is_noticed_within_milliseconds(script: Script, queue: HandmadeQueue) -> None:
    source = script("import time\nprint(time.time())")
    queue.run(source)
    late = []
    for _ in range(7):
        run, _ = queue.run(source)
        late.append(os.stat(run.attempt(1).result).st_mtime - float(out(run)))

    assert sorted(late)[3] < 0.07  # the light exit and the result's own writing included; polling would take 0.1


def test_cancel_ends_the_script_and_all_it_started(script: Script, queue: HandmadeQueue) -> None:
    source = script(
        "import subprocess, sys, time\n"
        "inside = subprocess.Popen(['sleep', '600'])\n"
        "outside = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "print(inside.pid, outside.pid, 'ready')\ntime.sleep(600)"
    )
    run = queue.lay(source)
    queue.start()
    waiting_for(run, "ready")

    write_json(run.cancel, {})
    result = queue.wait(run)

    assert (result["reason"], result["exit_status"], result["signal"]) == ("canceled", None, signal.SIGTERM)
    assert [pid for pid in out(run).split()[:2] if Path("/proc", pid).exists()] == []


def test_cancel_wins_over_a_clean_exit(script: Script, queue: HandmadeQueue) -> None:
    source = script(
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        "print('ready')\ntime.sleep(600)"
    )
    run = queue.lay(source)
    queue.start()
    waiting_for(run, "ready")

    write_json(run.cancel, {})

    assert [queue.wait(run)[key] for key in ("reason", "exit_status")] == ["canceled", 0]


def test_canceled_before_it_began_never_runs(script: Script, queue: HandmadeQueue) -> None:
    run = queue.lay(script("print('ran')"))
    write_json(run.cancel, {})
    queue.start()

    result = queue.wait(run)

    assert (result["reason"], result["exit_status"]) == ("canceled", None)
    assert not Path(run.stdout).exists()


def test_a_process_that_ignores_sigterm_is_killed(script: Script, queue: HandmadeQueue) -> None:
    source = script(
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready')\ntime.sleep(600)"
    )

    _, result = queue.run(source, timeout_s=0.4, kill_wait_s=0.3)

    assert (result["reason"], result["signal"]) == ("timeout", signal.SIGKILL)
    assert "longer than its limit of 0.4 s" in result["message"]
    assert 0.6 < result["ended"] - result["started"] < 3


def test_memory_limit_counts_children(script: Script, queue: HandmadeQueue) -> None:
    hungry = "import time\nx = bytearray(150_000_000)\nfor i in range(0, len(x), 4096): x[i] = 1\ntime.sleep(60)"
    source = script(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {hungry!r}])")

    _, result = queue.run(source, mem_bytes=120_000_000)

    assert result["reason"] == "memory"
    assert result["message"].endswith("GB of memory, more than its limit of 0.12 GB")
    assert result["max_rss_bytes"] > 120e6


def test_leftover_processes_end_with_the_script(script: Script, queue: HandmadeQueue) -> None:
    source = script(
        "import subprocess\n"
        "print(subprocess.Popen(['sleep', '600']).pid)\n"
        "print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid)"
    )

    run, result = queue.run(source)

    assert result["exit_status"] == 0
    assert [pid for pid in out(run).split() if Path("/proc", pid).exists()] == []


def test_leftovers_of_a_script_that_ends_at_once_are_found(
    script: Script, queue: HandmadeQueue, tmp_path: Path
) -> None:
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow/ctypes.py").write_text(
        "import sys, time\ntime.sleep(0.5)\nsys.path.remove(__file__[:-10])\ndel sys.modules['ctypes']\nimport ctypes"
    )
    source = script("import subprocess\nprint(subprocess.Popen(['sleep', '60'], start_new_session=True).pid)")
    queue.start(PYTHONPATH=str(tmp_path / "slow"))  # what has no time to adopt orphans loses them

    run, _ = queue.run(source)

    assert not Path("/proc", out(run).strip()).exists()


# What survives


def test_run_outlives_its_worker(script: Script, queue: HandmadeQueue) -> None:
    run = queue.lay(script("import time\nprint('ready')\ntime.sleep(0.7)\nprint('done')"))
    worker = queue.start()
    waiting_for(run, "ready")
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()

    result = queue.wait(run)

    assert result["exit_status"] == 0
    assert out(run).endswith("done\n")
    eventually(lambda: os.listdir(f"{queue.layout.claimed}/worker-0") == [])
    eventually(lambda: not is_alive(read_json(run.attempt(1).claim)["worker"]))
    assert "Traceback" not in queue.log


def test_a_killed_supervisor_leaves_a_result_and_no_script(script: Script, queue: HandmadeQueue) -> None:
    run = queue.lay(script("import time\nprint('ready')\ntime.sleep(600)"))
    queue.start()
    waiting_for(run, "ready")
    claim = eventually(lambda: read_json(run.attempt(1).claim))

    os.kill(claim["worker"]["pid"], signal.SIGKILL)
    result = queue.wait(run)

    assert "killed" in result["message"]
    eventually(lambda: not is_alive(claim["script"]))
    assert queue.run(script("print(1)"))[1]["exit_status"] == 0


def test_a_supervisor_killed_before_it_knows_its_script_leaves_none(
    script: Script, queue: HandmadeQueue, tmp_path: Path
) -> None:
    (tmp_path / "fatal").mkdir()
    (tmp_path / "fatal/sitecustomize.py").write_text(
        "import os, signal\nrename = os.rename\ndef renamed(source, target):\n"
        "    if target.endswith('claim.json'): os.kill(os.getpid(), signal.SIGKILL)\n"
        "    rename(source, target)\nos.rename = renamed\n"
    )
    queue.start(PYTHONPATH=str(tmp_path / "fatal"))
    run, result = queue.run(script("import time\nprint('ran')\ntime.sleep(600)"))

    def left() -> list[str]:
        """The processes that work in the run's folder."""
        found = []
        for folder in Path("/proc").glob("[0-9]*/cwd"):
            with suppress(OSError):
                found += [str(folder)] * str(folder.readlink()).startswith(run.folder)
        return found

    assert "killed" in result["message"]
    eventually(lambda: not left())
    assert out(run) == ""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_supervisor_ended_between_two_runs_takes_none_with_it(
    number: signal.Signals, script: Script, queue: HandmadeQueue
) -> None:
    source = script("import sys\nprint('ctypes' in sys.modules)")
    queue.start()
    pids = []

    for _ in range(3):
        run, result = queue.run(source)
        assert (result["exit_status"], out(run)) == (0, "False\n")
        pids.append(read_json(run.attempt(1).claim)["worker"]["pid"])
        if len(pids) == 2:
            os.kill(pids[-1], number)

    assert pids[0] == pids[1] != pids[2]


def test_the_supervisor_of_many_runs_does_not_grow(script: Script, queue: HandmadeQueue) -> None:
    source = script(
        "import os, re\nwith open(f'/proc/{os.getppid()}/status') as status:\n"
        "    print(re.search(r'VmRSS:\\s*(\\d+)', status.read())[1])"
    )
    queue.start()

    used_kb = [int(out(queue.run(source, argv=("x" * 10_000_000,))[0])) for _ in range(5)]

    assert used_kb[-1] - used_kb[1] < 15_000, used_kb


@pytest.mark.parametrize("damage", ["object", "manifest", "input"])
def test_a_run_that_cannot_start_still_has_a_result(
    damage: str, script: Script, queue: HandmadeQueue, tmp_path: Path
) -> None:
    inputs = {"data": {"path": str(tmp_path / "absent.csv"), "mode": "in_place"}} if damage == "input" else {}
    run = queue.lay(script("print(1)"), inputs=inputs)
    if damage == "object":
        next(path for path in queue.objects.rglob("*") if path.is_file()).unlink()
    elif damage == "manifest":
        Path(run.folder, "manifest.json").unlink()
    queue.start()

    result = queue.wait(run)

    assert (result["exit_status"], result["reason"]) == (None, None)
    assert "could not start" in result["message"]
    named = {"input": "absent.csv", "manifest": "manifest.json", "object": "the stored object of script.py is missing"}
    assert named[damage] in result["message"]


@pytest.mark.parametrize("content", [b"print(2)", b"print(1)\n", b""])
def test_damaged_object_is_not_run(content: bytes, script: Script, queue: HandmadeQueue) -> None:
    run = queue.lay(script("print(1)"))
    (stored,) = (path for path in queue.objects.rglob("*") if path.is_file())
    stored.chmod(0o644)
    stored.write_bytes(content)
    queue.start()

    result = queue.wait(run)

    assert (result["exit_status"], result["reason"]) == (None, None)
    assert f"the stored object of script.py is damaged; remove {stored} and submit again" in result["message"]
    assert not Path(run.stdout).exists()
    assert not Path(run.attempt(1).work).exists()


def test_worker_ends_when_closed_and_empty(script: Script, queue: HandmadeQueue) -> None:
    source = script("print(1)")
    runs = [queue.lay(source) for _ in range(3)]
    Path(queue.layout.closed).touch()
    workers = [queue.start(), queue.start()]

    assert [worker.wait(20) for worker in workers] == [0, 0]
    assert [queue.wait(run)["exit_status"] for run in runs] == [0, 0, 0]
    assert os.listdir(queue.layout.claimed) == []


def test_worker_ends_when_its_driver_is_gone(script: Script, queue: HandmadeQueue) -> None:
    run = queue.lay(script("print(1)"))
    driver = subprocess.Popen(["true"])
    write_json(queue.layout.worker, {**queue.settings, "driver": {**queue.settings["driver"], "pid": driver.pid}})
    driver.wait()

    assert queue.start().wait(20) == 0
    assert queue.wait(run)["exit_status"] == 0


# Warm or cold


def _says_cold(tmp_path: Path, source: Path, module: str, text: str) -> tuple[str, str]:
    library = tmp_path / "library"
    library.mkdir()
    (library / f"{module}.py").write_text(text)
    queue = HandmadeQueue(tmp_path / "made", preload=[module])
    queue.start(PYTHONPATH=str(library))
    run, result = queue.run(source)
    again, _ = queue.run(source)
    queue.close()
    assert result["exit_status"] == 0
    assert out(run) == out(again)
    return out(run), queue.log


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("print('hello')", "an import prints: hello"),
        ("import os; os.write(2, b'low')", "an import prints: low"),
        (
            "import threading, time; threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
            "starts threads",
        ),
        ("import absent_part", "No module named 'absent_part'"),
    ],
)
def test_imports_that_cannot_be_shared_make_it_cold(text: str, why: str, script: Script, tmp_path: Path) -> None:
    source = script("try:\n    import thing\nexcept ImportError as error:\n    print(error)\nprint('end')")

    said, log = _says_cold(tmp_path, source, "thing", text)

    assert why in log
    assert said.endswith("end\n")
    assert text != "print('hello')" or said == "hello\nend\n"


def test_a_run_finds_nothing_of_the_run_before_it(script: Script, tmp_path: Path) -> None:
    """Of all that a process can change for itself, in the worker that both runs are forked from."""
    queue = HandmadeQueue(tmp_path / "made", preload=["json"])
    source = script(
        """
import json, os, signal, sys, threading, warnings
seen = [hasattr(json, "mark"), os.environ.get("MARK"), os.getcwd() != os.environ["AMLCORE_RUN"] + "/attempts/1/work",
        "mark" in sys.path, "wave" in sys.modules, signal.getsignal(signal.SIGUSR1) != signal.SIG_DFL, sys.argv[1:],
        threading.active_count(), os.getpgid(0) == os.getpid(), os.path.exists("mark"), os.umask(0o22)]
json.mark, os.environ["MARK"], sys.argv[1:] = 1, "1", ["mark"]
sys.path.insert(0, "mark")
import wave
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
open("mark", "w").close()
threading.Thread(target=threading.Event().wait, daemon=True).start()
os.umask(0o77)
os.chdir("/")
print(os.getppid() == os.getsid(0), seen)
"""
    )

    said = [out(queue.run(source, argv=(name,))[0]) for name in ("a", "b")]
    queue.close()

    assert len(queue.workers) == 1
    assert said == [
        f"False [False, None, False, False, False, False, ['{name}'], 1, True, False, 18]\n" for name in "ab"
    ]
    assert queue.log == ""


def test_lazy_imports_of_a_package_are_preloaded(script: Script, tmp_path: Path) -> None:
    (tmp_path / "library/lazy").mkdir(parents=True)
    (tmp_path / "library/lazy/__init__.py").write_text(
        "import importlib\ndef __getattr__(name):\n"
        "    if name != 'Part': raise AttributeError(name)\n"
        "    return importlib.import_module('lazy.part').Part\n"
    )
    (tmp_path / "library/lazy/part.py").write_text("import os\nclass Part: loaded_by = os.getpid()\n")
    source = script("from lazy import Part\nimport os\nprint(Part.loaded_by == os.getpid())")
    queue = HandmadeQueue(tmp_path / "made", preload=certain_imports(str(source), "script.py"))
    queue.start(PYTHONPATH=str(tmp_path / "library"))

    run, _ = queue.run(source)
    queue.close()

    assert out(run) == "False\n"
    assert queue.log == ""


def test_preloaded_module_that_the_source_has_itself_makes_it_cold(script: Script, tmp_path: Path) -> None:
    source = script("import thing\nprint(thing.NAME)")
    script("NAME = 'of the source'", "thing.py")

    said, log = _says_cold(tmp_path, source, "thing", "NAME = 'of the library'")

    assert said == "of the source\n"
    assert "its own thing" in log


def test_absent_modules_in_the_preload_do_no_harm(script: Script, tmp_path: Path) -> None:
    queue = HandmadeQueue(tmp_path / "made", preload=["absent", "json.loads", "json.decoder"])

    run, _ = queue.run(script("import sys\nprint('json.decoder' in sys.modules)"))
    queue.close()

    assert out(run) == "True\n"
    assert queue.log == ""


# Any interpreter


def test_worker_is_python_36_and_standard_library_alone() -> None:
    standard = set(sys.stdlib_module_names) | {"amlcore"}
    for path in WORKER.rglob("*.py"):
        tree = ast.parse(path.read_text(), str(path), feature_version=(3, 6))
        # The imports that run when the module is imported; probe.py asks for numpy only where a model needs it.
        for node in tree.body if path.name.startswith("probe") else ast.walk(tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            foreign = {name.partition(".")[0] for name in names} - standard
            others = {"standins": {"azureml"}, "mlflow": {"mlflow"}}
            assert foreign <= set().union(*(others.get(part, set()) for part in path.parts)), path
            above = [name for name in names if name.startswith("amlcore.") and not name.startswith("amlcore.worker")]
            assert above == [], path


@pytest.mark.parametrize("version", ["3.6", "3.8", "3.13"])
def test_worker_on_another_python(version: str, script: Script, tmp_path: Path) -> None:
    queue = HandmadeQueue(tmp_path / "made", preload=["json", "random"], python=installed_python(version))
    source = script(
        "import random, subprocess, sys\n"
        "from azureml.core import Run\n"
        "from azureml.core.run import Run as Same\n"
        "import amlcore\n"
        "run = Run.get_context()\n"
        "print(sys.version_info[:2], Same is Run is amlcore.Run, run.id, run.experiment.name)\n"
        "for step in range(3):\n    run.log('loss', 1 / (step + 1), step=step)\n"
        "run.log_confusion_matrix('cm', [[1, 0], [0, 2]])\n"
        "with run.child_run() as child:\n    child.log('x', 1)\n"
        "print(run.get_metrics('loss'), len(run.get_children()))\n"
        "lines = ['from amlcore import Workspace', 'from azureml.core import Dataset', 'import azureml.core.model',\n"
        "  'import azureml.core.resource_configuration']\n"
        "for line in lines:\n"
        "    try:\n        exec(line)\n    except ImportError as error:\n        print(error)\n"
        "code = 'from azureml.core import Run; Run.get_context().log(\"sub\", 1)'\n"
        "subprocess.run([sys.executable, '-c', code], check=True)\n"
        "print('sub' in run.get_metrics())\n"
        "sys.exit(4)\n"
    )

    run, result = queue.run(source)
    queue.run(source)
    queue.close()

    lines = out(run).splitlines()
    assert result["exit_status"] == 4, err(run)
    assert lines[0] == f"({version.replace('.', ', ')}) True {Path(run.folder).name} test"
    assert lines[1] == "{'loss': [1.0, 0.5, 0.3333333333333333]} 1"
    assert lines[2].startswith("Workspace is not available: amlcore is not installed in this environment")
    assert "script.inputs" in lines[3]
    assert "from amlcore import Model" in lines[4]
    assert "from amlcore import ResourceConfiguration" in lines[5]
    assert lines[6:] == ["True"]
    assert queue.log == ""


def test_standins_do_not_hide_the_real_amlcore(script: Script, queue: HandmadeQueue) -> None:
    run, _ = queue.run(script("import amlcore, azureml.core\nprint(amlcore.__file__)"))

    assert out(run) == amlcore.__file__ + "\n"


# What to preload


def _imports(tmp_path: Path, text: str, **others: str) -> list[str]:
    for name, content in {"script": text, **others}.items():
        (tmp_path / f"{name}.py").write_text(content)
    return certain_imports(str(tmp_path), "script.py")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from sklearn.svm import SVC", ["sklearn.svm", "sklearn.svm.SVC"]),
        ("from sklearn import datasets", ["sklearn", "sklearn.datasets"]),
        ("import a.b as c, d", ["a.b", "d"]),
        ("'''Doc.'''\nfrom __future__ import annotations\nX = 1\nimport a\ndef f(): import lazy\nimport b", ["a", "b"]),
        ("import os\nos.environ['X'] = '1'\nimport b", ["os"]),
        ("import a\nif True:\n    import b\nimport c", ["a"]),
        ("import a\ntry:\n    import b\nexcept ImportError: pass", ["a"]),
        ("import a\n@a.cache\ndef f(): pass\nimport b", ["a"]),
        ("import a\ndef f(x=a.g()): pass\nimport b", ["a"]),
        ("import a\nclass C(a.B):\n    x = 1\n    def f(self): return 2\nimport b", ["a", "b"]),
        ("import a\nx = a.f()\nimport b", ["a"]),
        ("import a\nfrom . import b", ["a"]),
        ("import a\ndef broken(:", []),
        ("", []),
    ],
)
def test_preload_is_what_the_script_imports_first(text: str, expected: list[str], tmp_path: Path) -> None:
    assert _imports(tmp_path, text) == expected


def test_preload_looks_into_local_modules(tmp_path: Path) -> None:
    assert _imports(tmp_path, "import a\nimport near\nimport b", near="import far\nX = 2") == ["a", "far", "b"]
    assert _imports(tmp_path, "import a\nimport near\nimport b", near="import far\nfar.go()") == ["a", "far"]
    assert _imports(tmp_path, "import near\nimport b", near="import script\nimport c") == ["c", "b"]


def test_preload_follows_a_local_package(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack/__init__.py").write_text("from .one import f\nfrom . import two")
    (tmp_path / "pack/one.py").write_text("import first\ndef f(): pass")
    (tmp_path / "pack/two.py").write_text("import second\nfrom .one import f")

    assert _imports(tmp_path, "from pack.two import x\nimport last") == ["first", "second", "last"]


def test_preload_of_no_file_is_empty(tmp_path: Path) -> None:
    assert certain_imports(str(tmp_path), "absent.py") == []


@pytest.mark.parametrize("first", ["script", "worker"])
@pytest.mark.parametrize("resumable", [False, True])
def test_a_signal_to_all_processes_tells_the_supervisor_whoever_has_it_first(
    first: str, resumable: bool, script: Script, queue: HandmadeQueue
) -> None:
    """The script has no handler, so that it is gone at once."""
    run = queue.lay(script("import time\nprint('ready', flush=True)\ntime.sleep(600)"), resumable=resumable)
    queue.start()
    waiting_for(run, "ready")
    claim = read_json(run.attempt(1).claim)
    second = {"script": "worker", "worker": "script"}[first]
    os.kill(claim[first]["pid"], signal.SIGTERM)
    time.sleep(0.1)  # as a loop over the processes of a host may take
    with suppress(ProcessLookupError):  # its supervisor has ended it already
        os.kill(claim[second]["pid"], signal.SIGTERM)

    if resumable:
        queue.run(script("print('next')", "next.py"), "next.py")  # the worker has done with the first one
        assert read_json(run.attempt(1).result) is None
    else:
        assert queue.wait(run)["reason"] == "terminated"
