"""The conformance suite on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.compute_conformance import Conformance
from tests.conftest import Aml
from tests.test_flow import Write, background


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
