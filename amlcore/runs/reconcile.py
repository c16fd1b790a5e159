"""How a run comes to its end: from its result, or from what a lost driver left behind."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amlcore.compute import BACKENDS, Outcome
from amlcore.errors import AmlcoreError, RecordError
from amlcore.record.ownership import may_settle, owner_of
from amlcore.record.reading import read_mapping, read_yaml
from amlcore.record.record import Record, RunState
from amlcore.runs.cancellation import cancel_reason
from amlcore.runs.outputs import collect
from amlcore.worker import durable
from amlcore.worker.layout import append_line, open_to_group
from amlcore.worker.process.processes import signal_name
from amlcore.worker.process.watch import TERMINATED
from amlcore.worker.room import FULL, persistently

INTERRUPTED = 130
LAST_LINES = 10
LAST_BYTES = 20_000


def settle(record: Record) -> None:
    """Bring the state of a run whose driver is gone up to date; on a full disk it is left for the next look."""
    try:
        _settle(record)
    except OSError as error:
        if error.errno not in FULL:
            raise


def _settle(record: Record) -> None:
    """Bring the state of a run whose driver is gone up to date with its files; one that is driven is left alone."""
    if record.has_ended() and not _is_left(record):
        return
    if not may_settle(record.folder) or record.driven:
        return
    with _locked(record.folder):
        if record.has_ended():
            if _is_left(record) and not record.driven:
                note_unpublished(record, exit_status=1)
                Path(record.layout.driver).unlink(missing_ok=True)
            return
        if record.result is not None:
            finalize(record)
            return
        status = _backend(record).observe(record)
        if status.outcome is not None and record.result is None:
            again = f"; `aml resume {record.folder.name}` goes on" if Path(record.layout.sweep).exists() else ""
            end(record, replace(status.outcome, reason=f"{status.outcome.reason}{again}"))
        else:
            keep_in_step(record, status.wait_reason)


def unsettled_reason(record: Record) -> str | None:
    """Why a run that has not ended stays so, where its driver is gone and only another user may bring it to its end."""
    if record.has_ended() or record.driven or may_settle(record.folder):
        return None
    owner = owner_of(record.folder)
    return f"its driver is gone; the next aml command of {owner}, its owner, settles it"


def _backend(record: Record) -> Any:
    kind = record.facts.get("compute") or "local"
    if kind not in BACKENDS:
        raise RecordError(f"{record.layout.run} is damaged: compute must be one of {', '.join(BACKENDS)}, not {kind!r}")
    return BACKENDS[kind]


def _is_left(record: Record) -> bool:
    """Whether the driver of a submitted run never said that all which was asked for is done."""
    return Path(record.layout.driver).exists() and Path(record.layout.config).exists()


def note_end_of_driver(record: Record, error: BaseException) -> None:
    """Note what is left undone where this process drives the run, and ends by `error`, which stays what is told."""
    with suppress(AmlcoreError, OSError):  # whoever looks next notes it
        if not record.driven_here:
            return
        note_unpublished(record, exit_status=INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1)


def note_unpublished(record: Record, *, exit_status: int) -> None:
    """Say so where a run completed and its driver ended before the model was registered, or packaged."""
    status = record.status
    if status.state is not RunState.Completed or record.facts["parent"] is not None or status.exit_status:
        return
    try:
        job = read_yaml(record.layout.config, dict) or {}
        name, path = job["model"]["name"], job["model"]["path"]
    except (LookupError, TypeError):
        raise RecordError(f"{record.layout.config} is damaged: it lacks model.name or model.path") from None
    run = record.folder.name
    if name is None:
        return
    is_sweep = Path(record.layout.sweep).exists()
    model = last_model(record)
    if is_sweep:  # it is registered from its best trial
        trials = (Record(folder) for folder in record.folder.parent.glob(f"{run}_*"))
        model = next((known for trial in trials if (known := last_model(trial))), None)
    if model is None:
        again = f"aml resume {run}" if is_sweep else f"aml register {run} --name {name} --path {shlex.quote(path)}"
        words = f"its driver ended before {name} was registered: {again}"
    elif job.get("deployment") is not None:
        words = f"its driver ended before {model} was packaged: aml deploy {model}"
    else:
        return
    record.enter(RunState.Completed, "; ".join(filter(None, (status.reason, words))), exit_status=exit_status)


def note_model(record: Record, model: str) -> str | None:
    """Note with a run that `model`, NAME:VERSION, was registered from it; why not, where its record may not be written.

    The model itself names its run, whoever registers it.
    """
    try:
        append_line(record.layout.models, {"model": model, "at": datetime.now(UTC).isoformat()})
    except PermissionError:
        run, owner = record.folder.name, owner_of(record.folder)
        return f"the record of run {run} does not name {model}: it belongs to {owner}, and you may not write there"
    with suppress(PermissionError):  # whoever registered the first one has done it
        open_to_group(record.layout.models, keep_private=True)
    durable.sync([record.layout.models, record.folder])
    return None


def last_model(record: Record) -> str | None:
    """The model registered from a run last, as NAME:VERSION."""
    try:
        lines = Path(record.layout.models).read_text(encoding="utf-8").splitlines()
        return str(json.loads(lines[-1])["model"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def keep_in_step(record: Record, waiting: str | None) -> None:
    """Enter the state of a run that has not ended: Running, or Queued for the reason `waiting`."""
    running = waiting is None and record.claim is not None
    state = RunState.Running if running else RunState.Queued
    before = record.status
    if before.state is RunState.CancelRequested or (before.state, before.reason) == (state, waiting):
        return
    if running or waiting is not None:
        record.enter(state, waiting)


def end(record: Record, outcome: Outcome) -> None:
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
    state, reason, exit_status = outcome(result)
    # Whoever ends all processes of a run at once, its driver too, cancels it, whichever of them is the first to say so.
    told = result["reason"] == TERMINATED or result["signal"] == signal.SIGTERM
    if told and state is RunState.Failed and Path(record.layout.cancel).exists():
        state, exit_status = RunState.Canceled, INTERRUPTED
    reason = cancel_reason(record) if state is RunState.Canceled else reason
    advice = advice_on_end(record) if state is RunState.Failed and result["exit_status"] else None
    try:
        lost = persistently(lambda: collect(record), str(record.folder)) if record.attempt else None
    except OSError as error:
        if error.errno in FULL:  # whoever looks next may find room, and what was written is still there
            raise
        lost = _not_kept(error)
        if state is RunState.Completed:
            state, exit_status = RunState.Failed, 1
    reason = "; ".join(filter(None, (reason, lost, advice))) or None
    usage = {key: float(result[key]) for key in ("cpu_s", "max_rss_bytes") if result.get(key) is not None}
    record.enter(state, reason, exit_status=exit_status, usage=usage)


def advice_on_end(record: Record) -> str | None:
    """What would let the script run, where it ended for a module that it cannot import."""
    error = read_mapping(record.layout.attempt(record.attempt).error) or {}
    if error.get("type") != "ModuleNotFoundError" or not error.get("name"):
        return None
    from amlcore.environment.missing_module import (
        missing_module_advice,  # what it needs takes each command longer to begin
    )

    try:
        job, lock = read_yaml(record.layout.config, dict), record.lock
        return missing_module_advice(str(error["name"]), job=job or {}, lock=lock or "")
    except (RecordError, LookupError, TypeError, AttributeError, ValueError):
        return None  # the run has ended all the same, and its log says by what


def may_be_canceled(record: Record) -> bool:
    """Whether a script was told to end from outside, by whom its driver may hear at the next moment."""
    result = record.result
    return result is not None and result["reason"] == TERMINATED and not Path(record.layout.cancel).exists()


def outcome(result: dict[str, Any]) -> tuple[RunState, str | None, int]:
    """The state, reason and exit status that a worker's result means."""
    if result["reason"] == "canceled":
        return RunState.Canceled, "canceled", INTERRUPTED
    if result["reason"] is not None or result["message"]:
        return RunState.Failed, result["message"] or result["reason"], 1
    if result["signal"] is not None:
        return RunState.Failed, f"the script was killed by {signal_name(result['signal'])}", 128 + result["signal"]
    if result["exit_status"]:
        full = f"; the disk of {result['full']} was full" if result.get("full") else ""
        reason = f"the script ended with exit status {result['exit_status']}{full}"
        return RunState.Failed, reason, result["exit_status"]
    return RunState.Completed, None, 0


def fail(record: Record, reason: str, *, exit_status: int = 1) -> None:
    """End a run that cannot be carried out; what its attempt wrote so far is kept."""
    record.enter(RunState.Failed, "; ".join((reason, *_collect(record))), exit_status=exit_status)


def fail_by(record: Record, error: BaseException, *, redacted: Callable[[str], str] = str) -> None:
    """Fail a run by what ended its driver; that stays what is told where not even this can be recorded.

    Raises
    ------
    RecordError
        Both errors, where the first is amlcore's own.
    """
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


def last_lines(record: Record, count: int = LAST_LINES) -> list[str]:
    """The end of what the script said: of its stderr, else of its stdout."""
    for path in (record.layout.stderr, record.layout.stdout):
        try:
            with open(path, "rb") as log:
                log.seek(-min(LAST_BYTES, os.fstat(log.fileno()).st_size), os.SEEK_END)
                lines = log.read(LAST_BYTES).decode(errors="replace").splitlines()
        except FileNotFoundError:
            continue
        if lines:
            return lines[-count:]
    return []


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
