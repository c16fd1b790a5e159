"""The conformance suite on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from amlcore.compute.local import Local, LocalSlots
from amlcore.request import Request, WorkerKind
from amlcore.worker.processes import children
from tests.compute_conformance import Conformance
from tests.conftest import Aml
from tests.test_flow import Write, background, until


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


def test_a_run_found_lost_while_another_is_submitted_is_told(tmp_path: Path) -> None:
    slots = LocalSlots(Local(slots=1), state=tmp_path)
    kind = WorkerKind(interpreter="/bin/false")
    others = set(children(os.getpid()))
    for run in ("first", "second"):
        folder = tmp_path / run
        folder.mkdir()
        wanted = {"objects": "", "manifest": "", "script": "", "argv": [], "environment_variables": {}, "inputs": {}}
        slots.submit(Request(run=run, folder=str(folder), timeout_s=None, mem_bytes=None, **wanted), kind)
        if run == "first":
            until(lambda: set(children(os.getpid())) <= others)  # its worker has ended, and nobody has looked

    lost = slots.poll()
    slots.close()

    assert "before the script began" in str(lost["first"].reason)
