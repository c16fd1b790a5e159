"""Cancellation: a run is asked to end, and why; what does not end by itself is killed."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from amlcore.record.record import Record
from amlcore.worker.files import create_json
from amlcore.worker.process_identity import identity


def cancel_reason(record: Record) -> str:
    """Why the run was asked to end."""
    request = record.cancel_request
    return (request and request.reason) or "canceled"


def was_pruned(record: Record) -> bool:
    """Whether the run was asked to end by early termination."""
    request = record.cancel_request
    return request is not None and request.pruned


def was_canceled_with_sweep(record: Record) -> bool:
    """Whether the run was asked to end because its sweep did."""
    request = record.cancel_request
    return request is not None and request.with_sweep


def request_cancel(
    record: Record, reason: str | None = None, *, pruned: bool = False, with_sweep: bool = False
) -> None:
    """Ask for the end of a run: its worker and its driver watch for the file that this writes.

    Parameters
    ----------
    pruned : bool
        Whether it is a trial that its sweep's early termination gives up.
    with_sweep : bool
        Whether it is a trial that ends because its sweep does.
    """
    request = {"by": identity(), "reason": reason, "pruned": pruned, "with_sweep": with_sweep}
    create_json(record.layout.cancel, request)
    claim = record.claim
    # A script whose supervisor was killed has nobody left who watches.
    if claim is not None and claim.script.is_alive and claim.worker.is_alive is False:
        kill(record, signal.SIGTERM)


def kill(record: Record, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to the script and its children, on this host."""
    claim = record.claim
    if claim is not None and claim.script.is_alive:
        with suppress(ProcessLookupError, PermissionError):  # another user's is ended by its supervisor alone
            os.killpg(claim.script.pid, number)


def kill_orphan(record: Record) -> None:
    """Kill a script that has no supervisor left to do it, and that did not end when it was asked to."""
    claim = record.claim
    if claim is not None and claim.worker.is_alive is False:
        kill(record)
