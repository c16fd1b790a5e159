"""The lifecycle of a run: the states that it enters, and how it ends, from its result or without one."""

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
from amlcore.worker.full_disk import FULL, retry_while_full
from amlcore.worker.process.processes import signal_name
from amlcore.worker.process.watch import TERMINATED

if TYPE_CHECKING:
    from amlcore.compute import Outcome


def update_state(record: Record, waiting: str | None) -> None:
    """Enter the state of a run that has not ended: Running, or Queued for the reason `waiting`."""
    running = waiting is None and record.claim is not None
    state = RunState.Running if running else RunState.Queued
    before = record.status
    if before.state is RunState.CancelRequested or (before.state, before.reason) == (state, waiting):
        return
    if running or waiting is not None:
        record.enter(state, waiting)


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
    # Whoever ends all processes of a run at once, its driver too, cancels it, whichever of them is the first to say so.
    told = result.reason == TERMINATED or result.signal == signal.SIGTERM
    if told and state is RunState.Failed and Path(record.layout.cancel).exists():
        state, exit_status = RunState.Canceled, INTERRUPTED
    reason = cancel_reason(record) if state is RunState.Canceled else reason
    advice = _advice(record) if state is RunState.Failed and result.exit_status else None
    try:
        lost = retry_while_full(lambda: collect(record), str(record.folder)) if record.attempt else None
    except OSError as error:
        if error.errno in FULL:  # whoever looks next may find room, and what was written is still there
            raise
        lost = _not_kept(error)
        if state is RunState.Completed:
            state, exit_status = RunState.Failed, 1
    reason = "; ".join(filter(None, (reason, lost, advice))) or None
    used = {"cpu_s": result.cpu_s, "max_rss_bytes": result.max_rss_bytes}
    usage = {key: float(value) for key, value in used.items() if value is not None}
    record.enter(state, reason, exit_status=exit_status, usage=usage)


def _advice(record: Record) -> str | None:
    """What would let the script run, if it ended because it could not import a module."""
    error = read_document(record.layout.attempt(record.attempt).error, AttemptError)
    if error is not None and error.type == "ImportError" and not error.name:
        from amlcore.script.relative_imports import relative_import_advice

        info = record.info
        return relative_import_advice(info.source_directory, info.script, last_lines(record.layout))
    if error is None or error.type != "ModuleNotFoundError" or not error.name:
        return None
    # Here since what it imports would slow each command's start.
    from amlcore.environment.missing_module import missing_module_advice

    try:
        job, lock = read_yaml(record.layout.config, dict), record.lock
        return missing_module_advice(error.name, job=job or {}, lock=lock or "")
    except (RecordError, LookupError, TypeError, AttributeError, ValueError):
        return None  # the run has ended all the same, and its log says by what


def was_terminated(record: Record) -> bool:
    """Whether a script was told to end from outside, by whom its driver may hear at the next moment."""
    result = record.result
    return result is not None and result.reason == TERMINATED and not Path(record.layout.cancel).exists()


def _meaning(result: AttemptResult) -> tuple[RunState, str | None, int]:
    """The state, reason and exit status that a worker's result means."""
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
    """End a run that cannot be carried out; what its attempt wrote so far is kept."""
    record.enter(RunState.Failed, "; ".join((reason, *_collect(record))), exit_status=exit_status)


def fail_with(record: Record, error: BaseException, *, redacted: Callable[[str], str] = str) -> None:
    """Fail a run by what ended its driver; that stays what is told where not even this can be recorded.

    Raises
    ------
    RecordError
        Both errors, where the first is amlcore's own.
    """
    log_traceback(error)
    known = isinstance(error, AmlcoreError)
    words = str(error) if known else f"amlcore itself failed: {type(error).__name__}: {error}"
    try:
        fail(record, redacted(words))
    except (AmlcoreError, OSError) as second:
        if known:
            raise RecordError(f"{error}; and that could not be recorded: {second}") from None


def cancel(record: Record, reason: str | None = None) -> None:
    """End a run that was canceled and has no result; what its attempt wrote so far is kept."""
    reason = "; ".join((reason or cancel_reason(record), *_collect(record)))
    record.enter(RunState.Canceled, reason, exit_status=INTERRUPTED)


def _collect(record: Record) -> list[str]:
    """Keep what the attempt of a run without a result wrote; why it was not kept, if so."""
    try:
        if record.attempt:
            collect(record)
    except OSError as error:
        return [_not_kept(error)]
    return []


def _not_kept(error: OSError) -> str:
    return f"what the script wrote could not be kept: {error.strerror}: {error.filename}"
