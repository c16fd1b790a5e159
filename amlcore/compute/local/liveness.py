"""Whether the processes of a run on this machine are alive, and the end of those that should not be."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from amlcore.compute.queue import is_cancel_overdue
from amlcore.compute.request import RunRequest
from amlcore.compute.target import Outcome
from amlcore.record.record import Record
from amlcore.worker.process.processes import family, send

LOST = Outcome.lost("its processes ended without a result")


def is_lost(record: Record) -> bool:
    """Whether a run was started, and its processes ended without a result."""
    return record.claim is not None and not record.is_executing and record.result is None


def kill_overdue(record: Record) -> None:
    """Kill a canceled run together with the supervisor that should have ended it: a stopped process does nothing."""
    claim = record.claim
    if claim is None or not claim.worker.is_alive or not _is_overdue(record):
        return
    supervisor, script = claim.worker.pid, claim.script.pid
    send(signal.SIGKILL, script, family(supervisor, script))
    with suppress(ProcessLookupError):
        os.kill(supervisor, signal.SIGKILL)


def _is_overdue(record: Record) -> bool:
    try:
        return is_cancel_overdue(RunRequest.read(Path(record.layout.request)))
    except PermissionError:  # another user's run: we may not signal its processes
        return False
