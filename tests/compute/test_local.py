"""The conformance suite on this machine."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from amlcore.compute import Outcome, queue
from amlcore.compute.local.liveness import LOST
from amlcore.compute.local.slots import MAX_TRIES, LocalSlots
from amlcore.compute.local.target import Local
from amlcore.compute.request import RunRequest, WorkerKind
from amlcore.record.documents import Claim
from amlcore.record.record import Record
from amlcore.runs.cancellation import request_cancel
from amlcore.worker.process.processes import children
from tests.support.aml import Aml, Write, background, until
from tests.support.compute_conformance import Conformance
from tests.support.worker_queue import HandmadeQueue


class TestLocal(Conformance):
    overrides = ("compute=local",)
    keeps_queued_runs = False  # the driver starts the workers

    @contextmanager
    def full(self, project: Path, aml: Aml, write: Write) -> Iterator[None]:
        write("long.py", "import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
        with background(project, *self.job("long.py")) as holder:
            assert holder.stdout is not None
            holder.stdout.readline()
            yield
            aml("cancel", next(run["id"] for run in aml("runs", "--experiment", "long", "--json").json))

    def says_why(self, run: dict[str, Any]) -> bool:
        return "compute.slots=1" in str(run["reason"])


class LocalBackend:
    """The slots of a test, and runs for them of a worker that `sabotage` is loaded into."""

    def __init__(self, folder: Path, *, sabotage: str = "", interpreter: str = sys.executable) -> None:
        (folder / "source").mkdir()
        (folder / "sitecustomize.py").write_text(sabotage)
        self.kind = WorkerKind(interpreter=interpreter, environment_variables={"PYTHONPATH": str(folder)})
        self.slots = LocalSlots(2, kind="local", state=folder / "state")
        self.ended: dict[str, Outcome] = {}
        self.queue = HandmadeQueue(folder / "queue")

    def submit(self, script: str, **more: Any) -> Record:
        source = self.queue.folder / f"source-{uuid.uuid4()}"
        source.mkdir()
        (source / "script.py").write_text(script)
        record = Record(Path(self.queue.lay(source, **more).folder))
        self.slots.submit(RunRequest.read(Path(record.layout.request)), self.kind)
        return record

    def follow(self, record: Record) -> str | int:
        """Why it ended without a result, else the exit status of its script."""

        def over() -> bool:
            self.ended |= self.slots.poll()
            return record.folder.name in self.ended or record.result is not None

        until(over)
        result = record.result
        return self.ended[record.folder.name].reason if result is None else result.exit_status


def dies_after(rename: str, *, times: int, parent: bool = False) -> str:
    """A module that kills its process, and its parent too, once it has renamed a file to a matching path."""
    return f"""
import os, re, signal
rename, here = os.rename, os.path.dirname(__file__)
def renamed(source, target):
    rename(source, target)
    number = len([name for name in os.listdir(here) if name.startswith("died-")])
    if re.search({rename!r}, target) and number < {times}:
        open(os.path.join(here, "died-" + str(number)), "w").close()
        for pid in [os.getppid()] * {parent} + [os.getpid()]:
            os.kill(pid, signal.SIGKILL)
os.rename = renamed
"""


@pytest.mark.parametrize(
    ("times", "ends"), [(MAX_TRIES - 1, 0), (MAX_TRIES, "was killed by SIGKILL before the script began: ")]
)
def test_a_run_not_started_by_a_killed_worker_is_retried_a_few_times(
    times: int, ends: str | int, tmp_path: Path
) -> None:
    backend = LocalBackend(tmp_path, sabotage=dies_after("/claimed/.*-000002.1.json$", times=times))
    first = backend.submit(f"import os, time\nwhile not os.path.exists('{tmp_path}/go'): time.sleep(0.01)")
    until(lambda: first.claim)  # a worker of another kind that continues does not reset the count

    second = backend.submit("print(1)")

    assert str(ends) in str(backend.follow(second))
    (tmp_path / "go").touch()
    assert backend.follow(first) == 0
    backend.slots.close()


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (1, "waiting for a slot of compute=local: the only slot is in use (compute.slots=1)"),
        (3, "waiting for a slot of compute=local: all 3 slots are in use (compute.slots=3)"),
    ],
)
def test_a_run_that_waits_for_a_slot_says_how_many_there_are(number: int, reason: str, tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path)
    backend.slots = LocalSlots(number, kind="local", state=tmp_path / "state")
    with ExitStack() as locks:
        for slot in range(number):
            lock = locks.enter_context((tmp_path / f"state/slots/local-{slot}").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        record = backend.submit("")

        assert backend.slots.wait_reason(record.folder.name) == reason
        assert backend.slots.withdraw(record.folder.name)
    backend.slots.close()


def test_a_started_run_is_not_retried(tmp_path: Path) -> None:
    """Worker and supervisor are killed before the script's process is recorded."""
    backend = LocalBackend(tmp_path, sabotage=dies_after("/claim.json$", times=1, parent=True))
    run = backend.submit("print(1)")
    until(lambda: run.claim)
    Path(run.layout.attempt(1).claim).unlink()

    assert backend.follow(run) == LOST.reason
    backend.slots.close()


def test_a_worker_that_had_worked_is_replaced(tmp_path: Path) -> None:
    backend, others = LocalBackend(tmp_path), set(children(os.getpid()))
    assert backend.follow(backend.submit("print(1)")) == 0
    (worker,) = set(children(os.getpid())) - others
    os.kill(worker, signal.SIGKILL)
    until(lambda: set(children(os.getpid())) <= others)

    assert backend.follow(backend.submit("print(2)")) == 0
    backend.slots.close()


@pytest.mark.parametrize(("times", "ends"), [(2, 0), (9, "the worker was killed by SIGTERM before the script began: ")])
def test_a_worker_that_is_killed_while_it_starts_costs_no_run(times: int, ends: int | str, tmp_path: Path) -> None:
    python = tmp_path / "python"
    tries = "".join(f"mkdir {tmp_path}/{number} 2>/dev/null && kill $$\n" for number in range(times))
    python.write_text(f'#!/bin/sh\n{tries}exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    backend = LocalBackend(tmp_path, interpreter=str(python))

    assert backend.follow(backend.submit("print(1)")) == ends
    backend.slots.close()


def test_a_worker_that_cannot_start_costs_one_run(tmp_path: Path) -> None:
    """The failure is found while another run is submitted, and returned by the next poll."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nmkdir {tmp_path}/once && exit 3\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    backend, others = LocalBackend(tmp_path, interpreter=str(python)), set(children(os.getpid()))
    first = backend.submit("print(1)")
    until(lambda: set(children(os.getpid())) <= others)  # its worker has ended, and nobody has looked

    second = backend.submit("print(2)")

    assert sorted(str(backend.follow(run)) for run in (first, second)) == [
        *("0", "the worker ended with status 3 before the script began: ")
    ]
    backend.slots.close()


@pytest.mark.parametrize("driven", [True, False])
def test_a_canceled_run_whose_supervisor_was_stopped_ends(
    driven: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "CANCEL_PATIENCE_S", 0.1)
    backend = LocalBackend(tmp_path)
    run = backend.submit("import time\ntime.sleep(600)", kill_wait_s=0.1)
    claim: Claim = until(lambda: run.claim)
    os.kill(claim.worker.pid, signal.SIGSTOP)
    request_cancel(run)

    if not driven:
        until(lambda: Local.observe(run) and run.result)

    assert backend.follow(run) is None
    assert run.result is not None
    assert run.result.reason == "canceled"
    assert not claim.script.is_alive
    backend.slots.close()
