"""A run outlives the terminal, or the reader, that it was started from."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.aml import HERE, Aml, until

SCRIPT = """
import os, signal, sys, time
assert signal.SIGHUP not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
print("begun", flush=True)
open(sys.argv[1] + ".begun", "w").close()
while not os.path.exists(sys.argv[1]): time.sleep(0.02)
print("over", flush=True)
from amlcore import Run
Run.get_context().log("score", 1)
open("outputs/model.joblib", "w").close()
"""


@contextmanager
def on_a_terminal(project: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`aml` as the leader of a terminal's session, and the other end of that terminal, which the block closes."""
    ours, theirs = pty.openpty()
    enter = (
        "import fcntl, os, sys, termios; fcntl.ioctl(1, termios.TIOCSCTTY, 0); os.execv(sys.executable, sys.argv[1:])"
    )
    command = [sys.executable, "-c", enter, sys.executable, "-m", "amlcore", *arguments]
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    with subprocess.Popen(command, cwd=project, start_new_session=True, **streams) as process:  # type: ignore[call-overload]
        os.close(theirs)
        try:
            yield process, ours
        finally:
            process.kill()


@pytest.mark.parametrize("sweep", [(), ("-m", "sweep.primary_metric=score")])
def test_a_run_goes_on_when_its_terminal_is_closed(
    sweep: tuple[str, ...], project: Path, aml: Aml, write: Callable
) -> None:
    go = project / "go"
    write("a.py", SCRIPT.replace("sys.argv[1]", repr(str(go))))
    arguments = ("+script.arguments.x=1,2",) if sweep else ()
    with on_a_terminal(project, "run", "a.py", HERE, "model.name=m", *sweep, *arguments) as (process, terminal):
        until((project / "go.begun").exists)
        os.close(terminal)
        go.touch()
        status = process.wait(60)

    run = aml("runs", "--json").json[0]
    log = (Path(run["folder"]) / "driver.log").read_text()
    assert "the run continues in the background" in log
    assert run["state"] == "Completed"
    assert (status, "cannot be loaded" in log) == (1, True)  # it came as far as the registration of what is no model


def test_a_run_goes_on_at_a_hangup_and_without_a_reader(project: Path, aml: Aml, write: Callable) -> None:
    write("a.py", SCRIPT)
    for number, closes in enumerate(("signal", "stderr", "both")):
        go = project / str(number)
        command = [sys.executable, "-m", "amlcore", "run", "a.py", HERE, "--", str(go)]
        process = subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stderr is not None
        until((project / f"{number}.begun").exists)
        if closes == "signal":
            process.send_signal(signal.SIGHUP)
        else:
            process.stderr.close()
            if closes == "both":
                process.stdout.close()
        go.touch()
        assert process.wait(60) == 0, closes
        if closes != "both":  # what reads the script's own output goes on to do so
            assert process.stdout.read() == b"begun\nover\n"
        process.stdout.close()
        process.stderr.close()
        (log,) = (path.read_text() for path in project.glob("outputs/a/*/driver.log"))
        assert "the run continues in the background" in log
        assert "Completed in" in log
        assert "over" not in log
        aml("show", "latest")
        (project / "outputs").rename(project / f"outputs-{number}")
