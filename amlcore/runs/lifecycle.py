"""The lifecycle of a run: the states that it enters, and how it ends, with a result or without."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from amlcore.errors import AmlcoreError, RecordError
from amlcore.log import log_traceback
from amlcore.record.documents import AttemptError, AttemptResult
from amlcore.record.log_stream import last_lines
from amlcore.record.reading import read_document, read_yaml
from amlcore.record.record import Record
from amlcore.record.status import INTERRUPTED, RunState
from amlcore.runs.cancellation import cancel_reason
from amlcore.runs.outputs import collect
from amlcore.worker.full_disk import FULL_DISK_ERRNOS, retry_while_full
from amlcore.worker.process.processes import signal_name
from amlcore.worker.process.watch import TERMINATED

if TYPE_CHECKING:
    from amlcore.compute import Outcome


def update_state(record: Record, wait_reason: str | None) -> None:
    """Enter the state of a run that has not ended: Running, or Queued because of `wait_reason`."""
    running = wait_reason is None and record.claim is not None
    state = RunState.Running if running else RunState.Queued
    before = record.status
    if before.state is RunState.CancelRequested or (before.state, before.reason) == (state, wait_reason):
        return
    if running or wait_reason is not None:
        record.enter(state, wait_reason)


def end_without_result(record: Record, outcome: Outcome) -> None:
    """End a run that left no result."""
    if Path(record.layout.cancel).exists():
        cancel(record)
    elif outcome.state is RunState.Canceled:
        cancel(record, outcome.reason)
    else:
        fail(record, outcome.reason)


def finalize(record: Record) -> None:
    """Keep the outputs of the newest attempt and enter the state that its result means."""
    result = record.result
    assert result is not None
    record.enter(RunState.Finalizing)
    state, reason, exit_status = _meaning(result)
    # Whoever ends all processes of a run together, its driver too, cancels it, whichever process notices first.
    was_told_to_end = result.reason == TERMINATED or result.signal == signal.SIGTERM
    if was_told_to_end and state is RunState.Failed and Path(record.layout.cancel).exists():
        state, exit_status = RunState.Canceled, INTERRUPTED
    reason = cancel_reason(record) if state is RunState.Canceled else reason
    advice = _advice(record) if state is RunState.Failed and result.exit_status else None
    try:
        lost_outputs = retry_while_full(lambda: collect(record), str(record.folder)) if record.attempt else None
    except OSError as error:
        if error.errno in FULL_DISK_ERRNOS:  # the next reconcile may find room; what was written is still there
            raise
        lost_outputs = _not_kept(error)
        if state is RunState.Completed:
            state, exit_status = RunState.Failed, 1
    reason = "; ".join(filter(None, (reason, lost_outputs, advice))) or None
    used = {"cpu_s": result.cpu_s, "max_rss_bytes": result.max_rss_bytes}
    usage = {key: float(value) for key, value in used.items() if value is not None}
    record.enter(state, reason, exit_status=exit_status, usage=usage)


def _advice(record: Record) -> str | None:
    """What would let the script run, if it ended because it could not import a module; None otherwise."""
    error = read_document(record.layout.attempt(record.attempt).error, AttemptError)
    if error is not None and error.type == "ImportError" and not error.name:
        from amlcore.script.relative_imports import relative_import_advice

        info = record.info
        return relative_import_advice(info.source_directory, info.script, last_lines(record.layout))
    if error is None or error.type != "ModuleNotFoundError" or not error.name:
        return None
    # Imported here, since it would slow the start of every command.
    from amlcore.environment.missing_module import missing_module_advice

    try:
        job, lock = read_yaml(record.layout.config, dict), record.lock
        return missing_module_advice(error.name, job=job or {}, lock=lock or "")
    except (RecordError, LookupError, TypeError, AttributeError, ValueError, OSError):
        return None  # advice only: the run's log has the error


def was_terminated(record: Record) -> bool:
    """Whether something outside of amlcore told the script to end; the driver may be told next."""
    result = record.result
    return result is not None and result.reason == TERMINATED and not Path(record.layout.cancel).exists()


def _meaning(result: AttemptResult) -> tuple[RunState, str | None, int]:
    """The state, reason and exit status that a result stands for."""
    if result.reason == "canceled":
        return RunState.Canceled, "canceled", INTERRUPTED
    if result.reason is not None or result.message:
        return RunState.Failed, result.message or result.reason, 1
    if result.signal is not None:
        return RunState.Failed, f"the script was killed by {signal_name(result.signal)}", 128 + result.signal
    if result.exit_status:
        full = f"; the disk of {result.full} was full" if result.full else ""
        reason = f"the script ended with exit status {result.exit_status}{full}"
        return RunState.Failed, reason, result.exit_status
    return RunState.Completed, None, 0


def fail(record: Record, reason: str, *, exit_status: int = 1) -> None:
    """Fail a run that cannot be carried out, and keep what its attempt has written."""
    record.enter(RunState.Failed, "; ".join((reason, *_collect(record))), exit_status=exit_status)


def fail_with(record: Record, error: BaseException, *, redacted: Callable[[str], str] = str) -> None:
    """Fail a run because of the error that ended its driver.

    Raises
    ------
    RecordError
        `error` is amlcore's own, and could not be recorded either; the message has both errors.
    """
    log_traceback(error)
    is_explained = isinstance(error, AmlcoreError)
    message = str(error) if is_explained else f"amlcore itself failed: {type(error).__name__}: {error}"
    try:
        fail(record, redacted(message))
    except (AmlcoreError, OSError) as second:
        if is_explained:
            raise RecordError(f"{error}; and that could not be recorded: {second}") from None


def cancel(record: Record, reason: str | None = None) -> None:
    """Cancel a run that has no result, and keep what its attempt has written."""
    reason = "; ".join((reason or cancel_reason(record), *_collect(record)))
    record.enter(RunState.Canceled, reason, exit_status=INTERRUPTED)


def _collect(record: Record) -> list[str]:
    """Keep what the attempt of a run without a result wrote; the reason if that failed."""
    try:
        if record.attempt:
            collect(record)
    except OSError as error:
        return [_not_kept(error)]
    return []


def _not_kept(error: OSError) -> str:
    return f"what the script wrote could not be kept: {error.strerror}: {error.filename}"
