"""How a run comes to its end: from its result, or from what a lost driver left behind."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from amlcore.compute import BACKENDS, Ending
from amlcore.record import Record, RunState
from amlcore.worker.layout import create_json, identity, is_alive, read_json

INTERRUPTED = 130
LAST_LINES = 10


def settle(record: Record) -> None:
    """Bring the state of a run whose driver is gone up to date with its files; one that is driven is left alone."""
    if record.has_ended() or record.driven or not os.access(record.folder, os.W_OK):
        return
    with _locked(record.folder):
        if record.has_ended():
            return
        if record.result is not None:
            finalize(record)
            return
        sight = BACKENDS[record.facts.get("compute", "local")].look(record)
        if sight.ending is not None and record.result is None:
            again = f"; `aml resume {record.folder.name}` goes on" if Path(record.layout.sweep).exists() else ""
            end(record, replace(sight.ending, reason=f"{sight.ending.reason}{again}"))
        else:
            keep_in_step(record, sight.waiting)


def keep_in_step(record: Record, waiting: str | None) -> None:
    """Enter the state of a run that has not ended: Running, or Queued for the reason `waiting`."""
    running = waiting is None and record.claim is not None
    state = RunState.Running if running else RunState.Queued
    before = record.status
    if before.state is RunState.CancelRequested or (before.state, before.reason) == (state, waiting):
        return
    if running or waiting is not None:
        record.enter(state, waiting)


def end(record: Record, ending: Ending) -> None:
    """End a run that left no result."""
    if Path(record.layout.cancel).exists():
        cancel(record)
    elif ending.state is RunState.Canceled:
        cancel(record, ending.reason)
    else:
        fail(record, ending.reason)


def finalize(record: Record) -> None:
    """Keep the outputs of the newest attempt and enter the state that its result means."""
    result = record.result
    assert result is not None
    record.enter(RunState.Finalizing)
    lost = record.collect() if record.attempt else None
    state, reason, exit_status = outcome(result)
    reason = cancel_reason(record) if state is RunState.Canceled else reason
    reason = "; ".join(filter(None, (reason, lost))) or None
    usage = {key: float(result[key]) for key in ("cpu_s", "max_rss_bytes") if result.get(key) is not None}
    record.enter(state, reason, exit_status=exit_status, usage=usage)


def outcome(result: dict[str, Any]) -> tuple[RunState, str | None, int]:
    """The state, reason and exit status that a worker's result means."""
    if result["reason"] == "canceled":
        return RunState.Canceled, "canceled", INTERRUPTED
    if result["reason"] is not None or result["message"]:
        return RunState.Failed, result["message"] or result["reason"], 1
    if result["signal"] is not None:
        return RunState.Failed, f"the script was killed by {_signal_name(result['signal'])}", 128 + result["signal"]
    if result["exit_status"]:
        return RunState.Failed, f"the script ended with exit status {result['exit_status']}", result["exit_status"]
    return RunState.Completed, None, 0


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def fail(record: Record, reason: str, *, exit_status: int = 1) -> None:
    """End a run that cannot be carried out; what its attempt wrote so far is kept."""
    if record.attempt:
        record.collect()
    record.enter(RunState.Failed, reason, exit_status=exit_status)


def cancel(record: Record, reason: str | None = None) -> None:
    """End a run that was canceled and has no result; what its attempt wrote so far is kept."""
    if record.attempt:
        record.collect()
    record.enter(RunState.Canceled, reason or cancel_reason(record), exit_status=INTERRUPTED)


def cancel_reason(record: Record) -> str:
    """Why the run was asked to end."""
    return str((read_json(record.layout.cancel) or {}).get("reason") or "canceled")


def was_pruned(record: Record) -> bool:
    """Whether the run was asked to end by early termination."""
    return bool((read_json(record.layout.cancel) or {}).get("pruned"))


def request_cancel(record: Record, reason: str | None = None, *, pruned: bool = False) -> None:
    """Ask for the end of a run: its worker and its driver watch for the file that this writes.

    Parameters
    ----------
    pruned : bool
        Whether it is a trial that its sweep's early termination gives up.
    """
    create_json(record.layout.cancel, {"by": identity(), "reason": reason, "pruned": pruned})
    claim = record.claim
    # A script whose supervisor was killed has nobody left who watches.
    if claim is not None and is_alive(claim["script"]) and is_alive(claim["worker"]) is False:
        kill(record, signal.SIGTERM)


def kill(record: Record, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to the script and its children, on this host."""
    claim = record.claim
    if claim is not None and is_alive(claim["script"]):
        with suppress(ProcessLookupError):
            os.killpg(claim["script"]["pid"], number)


def kill_orphan(record: Record) -> None:
    """Kill a script that has no supervisor left to do it, and that did not end when it was asked to."""
    claim = record.claim
    if claim is not None and is_alive(claim["worker"]) is False:
        kill(record)


def last_lines(record: Record, count: int = LAST_LINES) -> list[str]:
    """The end of what the script said: of its stderr, else of its stdout."""
    for path in (record.layout.stderr, record.layout.stdout):
        try:
            lines = Path(path).read_bytes()[-20_000:].decode(errors="replace").splitlines()
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
