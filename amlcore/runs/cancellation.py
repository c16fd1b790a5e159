"""Cancellation: ask a run to end, and kill what does not."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from amlcore.record.record import Record
from amlcore.worker.files import create_json
from amlcore.worker.process_identity import identity


def cancel_reason(record: Record) -> str:
    """Why the run is to end."""
    request = record.cancel_request
    return (request and request.reason) or "canceled"


def was_pruned(record: Record) -> bool:
    """Whether early termination canceled the run."""
    request = record.cancel_request
    return request is not None and request.pruned


def was_canceled_with_sweep(record: Record) -> bool:
    """Whether the run was canceled because its sweep was."""
    request = record.cancel_request
    return request is not None and request.with_sweep


def request_cancel(
    record: Record, reason: str | None = None, *, pruned: bool = False, with_sweep: bool = False
) -> None:
    """Ask a run to end: its worker and its driver watch for the file that this writes.

    Parameters
    ----------
    pruned : bool
        The run is a trial that early termination stops.
    with_sweep : bool
        The run is a trial that ends because its sweep does.
    """
    request = {"by": identity(), "reason": reason, "pruned": pruned, "with_sweep": with_sweep}
    create_json(record.layout.cancel, request)
    claim = record.claim
    # If the supervisor was killed, nobody watches for that file.
    if claim is not None and claim.script.is_alive and claim.worker.is_alive is False:
        kill(record, signal.SIGTERM)


def kill(record: Record, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to the script and its children, if they run on this host."""
    claim = record.claim
    if claim is not None and claim.script.is_alive:
        with suppress(ProcessLookupError, PermissionError):  # only the supervisor can end another user's script
            os.killpg(claim.script.pid, number)


def kill_orphan(record: Record) -> None:
    """Kill a script that did not end when it was asked to, if no supervisor is left to do it."""
    claim = record.claim
    if claim is not None and claim.worker.is_alive is False:
        kill(record)
