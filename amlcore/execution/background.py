"""Background processes: what this program starts to go on without it."""

from __future__ import annotations

import subprocess
import sys

from amlcore.record.record import Record
from amlcore.worker.layout import identity, write_json

_STARTED: list[subprocess.Popen[bytes]] = []  # kept, so that each is reaped and none is warned about


def start(verb: str, record: Record) -> int:
    """Start `aml VERB FOLDER` for a run in a session of its own, its words in driver.log; its pid comes back."""
    with open(record.layout.driver_log, "ab") as log:
        process = subprocess.Popen(
            # -P: a module in the user's folder must not stand in for one of the standard library.
            [sys.executable, "-P", "-m", "amlcore", verb, str(record.folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _STARTED.append(process)
    return process.pid


def drive_in_background(record: Record) -> None:
    """Start a driver of its own for a submitted run; it outlives this process."""
    write_json(record.layout.driver, identity(start("_drive", record)))
