"""What the drivers of runs and sweeps have in common: the terminal they stay attached to, and their last word."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from amlcore.log import Log
from amlcore.record.log_stream import LogStream
from amlcore.record.record import Record
from amlcore.runs.models import note_driver_failure
from amlcore.terminal.attached import Attached, attached


@contextmanager
def attached_driver(record: Record, *, log: Log, log_stream: LogStream | None = None) -> Iterator[Attached]:
    """Let the block drive `record`, even if the terminal closes.

    A failure of the driver itself is recorded with the run. The record is released at the end.
    """
    from amlcore.execution.driver import waiting_for_disk_space

    with (
        attached(record.layout.driver_log, log=log, log_stream=log_stream) as terminal,
        waiting_for_disk_space(terminal.log),
    ):
        try:
            yield terminal
        except BaseException as error:
            note_driver_failure(record, error)
            raise
        finally:
            record.release()
