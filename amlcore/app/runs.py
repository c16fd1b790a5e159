"""The verbs of runs: submit, repeat, list, follow, wait, cancel."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from amlcore.app.attached_driver import attached_driver
from amlcore.errors import NotFoundError, RequestError, RunError
from amlcore.execution.wait_reporter import WaitReporter
from amlcore.log import Log
from amlcore.record.log_stream import LogStream
from amlcore.record.record import Record
from amlcore.record.status import RunState, RunStatus
from amlcore.record.usage_lock import in_use
from amlcore.runs.cancellation import kill_orphan
from amlcore.runs.find import find
from amlcore.runs.reconcile import unreconciled_reason
from amlcore.runs.run import Run
from amlcore.workspace import Workspace

if TYPE_CHECKING:
    from amlcore.config import Job

CANCEL_WAIT_S = 30.0
ORPHAN_WAIT_S = 6.0  # the kill wait of a supervisor, and a little more
POLL_S = 0.05


def run_job(job: Job, *, overrides: list[str], detach: bool, log: Log) -> int:
    """Submit `job` and follow it to its end: stream its output, register and package its model.

    Returns
    -------
    int
        The script's exit status, or amlcore's.
    """
    from amlcore.execution.publication import check_model
    from amlcore.execution.source_state import log_skipped_dotenv
    from amlcore.execution.submission import log_unread_block, submit

    check_model(job)
    record = submit(job, overrides=overrides)
    log_unread_block(job, log=log)
    log_skipped_dotenv(job, log=log)
    return _drive_or_detach(job, record, detach=detach, log=log)


def rerun(workspace: Workspace, reference: str, *, detach: bool, log: Log) -> int:
    """Repeat a run with the same snapshot, lock, configuration and inputs."""
    from amlcore.execution.rerun import pinned_inputs
    from amlcore.execution.submission import submit

    with in_use(workspace.path):  # nobody may remove the run or its snapshot meanwhile
        original = find_run(workspace, reference)
        job, pinned = pinned_inputs(original)
        record = submit(job, overrides=original.info.overrides, pinned=pinned)
    return _drive_or_detach(job, record, detach=detach, log=log)


def find_run(workspace: Workspace, reference: str) -> Run:
    """The run that `reference` means.

    Raises
    ------
    NotFoundError, RecordError
        The run does not exist or cannot be read.
    """
    try:
        run = find(workspace.run_folders, reference)
    except NotFoundError as error:
        from amlcore.housekeeping.removal import removed_hint  # rarely needed, and slow to import

        raise removed_hint(workspace, reference) or error from None
    _ = run.info
    return run


def logs(run: Run, *, file: str | None, follow: bool) -> None:
    """Print a run's log; with `follow`, until the run has ended."""
    layout = run.record.layout
    if file is None:
        pairs = [(Path(layout.stdout), sys.stdout.buffer), (Path(layout.stderr), sys.stderr.buffer)]
        if not run.record.attempt and Path(layout.build_log).exists() and not Path(layout.sweep).exists():
            pairs.insert(0, (Path(layout.build_log), sys.stderr.buffer))
        log_stream = LogStream(pairs)
    else:
        log_stream = LogStream([(_log_file(run, file), sys.stdout.buffer)])
    while follow and (not run.has_ended() or run.record.is_driven):
        log_stream.pump()
        time.sleep(POLL_S)
    log_stream.drain()


def wait(run: Run, *, log: Log) -> int:
    """Wait until a run has ended; log why it is Queued, or why it stays in another state.

    Returns
    -------
    int
        Its exit status.
    """
    wait_reporter = WaitReporter(log)
    for status in run.follow(show_output=False):
        queued = status.reason if status.state is RunState.Queued else None
        reason = unreconciled_reason(run.record) or queued
        wait_reporter.report(reason, state=status.state, since=status.at)
        time.sleep(POLL_S)
    return run.exit_status


def cancel(run: Run) -> RunState:
    """Cancel a run and wait until it has ended."""
    if run.has_ended():
        raise RequestError(f"run {run.id} has already ended: {run.status.state}")
    run.cancel()
    started = time.monotonic()
    while not run.has_ended() and time.monotonic() - started < CANCEL_WAIT_S:
        if time.monotonic() - started > ORPHAN_WAIT_S:
            kill_orphan(run.record)
        time.sleep(POLL_S)
    if not run.has_ended():
        raise RunError(
            f"run {run.id} did not end within {CANCEL_WAIT_S:.0f} s of the request to cancel it: {run.status.state}"
        )
    return run.status.state


def _drive_or_detach(job: Job, record: Record, *, detach: bool, log: Log) -> int:
    from amlcore.execution import background

    log(f"run {record.folder.name} in {record.folder}")
    if detach:
        background.detach(job, record, log=log)
        return 0
    log_stream = LogStream.of_run(record.layout, stdout=sys.stdout.buffer, stderr=sys.stderr.buffer)
    return carry_out(job, record, log=log, log_stream=log_stream)


def carry_out(job: Job, record: Record, *, log: Log, log_stream: LogStream | None) -> int:
    """Drive a submitted run, then register and package its model, even if the terminal closes."""
    from amlcore.execution.driver import Driver

    with attached_driver(record, log=log, log_stream=log_stream) as terminal:
        status = Driver(job, record, log=terminal.log, log_stream=log_stream).drive()
        return _finish(job, record, status, log=terminal.log)


def _finish(job: Job, record: Record, status: RunStatus, *, log: Log) -> int:
    from amlcore.execution.publication import publish
    from amlcore.runs.outputs import describe_discarded

    run = Run(str(record.folder))
    discarded = describe_discarded(record)
    if discarded is not None:
        log(f"note: {discarded}")
    if status.state is not RunState.Completed:
        log(run.explanation)
        return status.exit_status or 1
    log(f"Completed in {run.duration_s:.1f} s" + (f"; {status.reason}" if status.reason else ""))
    return publish(job, run.record, log=log)


def _log_file(run: Run, name: str) -> Path:
    layout = run.record.layout
    for folder in (layout.logs, layout.attempt(run.record.attempt).logs):
        path = Path(folder, name)
        if path.is_file() and path.resolve().is_relative_to(Path(folder).resolve()):
            return path
    raise NotFoundError(f"run {run.id} did not write a file {name} to logs/")
