"""The driver's process: carries a submitted run or sweep out, and finishes what was asked for."""

from __future__ import annotations

from pathlib import Path

from amlcore.app import runs, sweeps
from amlcore.execution.past_sweeps import load_search
from amlcore.execution.rerun import load_job
from amlcore.log import Log
from amlcore.record.record import Record


def drive(folder: Path, *, log: Log) -> int:
    """Carry out what was submitted into `folder`: all that a background driver does."""
    record = Record(folder)
    if Path(record.layout.sweep).exists():
        return sweeps.carry_out(load_search(record), record, log=log)
    return runs.carry_out(load_job(record), record, log=log, log_stream=None)
