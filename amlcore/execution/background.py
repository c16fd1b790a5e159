"""Background processes: started by this program, and outliving it."""

from __future__ import annotations

import subprocess
import sys

from amlcore.config.job import Job
from amlcore.log import Log, is_debugging
from amlcore.record.record import Record
from amlcore.worker import durable
from amlcore.worker.files import write_json
from amlcore.worker.process_identity import identity

_STARTED: list[subprocess.Popen[bytes]] = []  # kept so that each is reaped, without a ResourceWarning


def start(verb: str, record: Record) -> int:
    """Start `aml VERB FOLDER` for a run in its own session, with its output in driver.log; return its pid."""
    with open(record.layout.driver_log, "ab") as log:
        process = subprocess.Popen(
            # -P: a module in the user's folder must not shadow one of the standard library.
            [sys.executable, "-P", "-m", "amlcore", *(["-v"] if is_debugging() else []), verb, str(record.folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _STARTED.append(process)
    return process.pid


def drive_in_background(record: Record) -> None:
    """Start a driver for a submitted run; it outlives this process."""
    write_json(record.layout.driver, identity(start("_drive", record)), sync=True)
    durable.sync([record.folder])


def detach(job: Job, record: Record, *, log: Log) -> None:
    """Let a background process drive a submitted run, and log how to follow it."""
    drive_in_background(record)
    if job.environment.chosen is not None:  # attached, the build logs it
        log(f"note: {job.environment.chosen}")
    log(f"running in the background; follow it with: aml logs {record.folder.name} --follow")
