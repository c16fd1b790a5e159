"""Where runs execute: one protocol, one backend a file."""

from amlcore.compute.local.target import Local
from amlcore.compute.slurm.target import Slurm
from amlcore.compute.target import BackendStatus, ComputeTarget, Outcome, Slots
from amlcore.errors import RecordError
from amlcore.record.record import Record

__all__ = ["BACKENDS", "BackendStatus", "ComputeTarget", "Local", "Outcome", "Slots", "Slurm", "backend_of"]

BACKENDS: dict[str, type[ComputeTarget]] = {"local": Local, "slurm": Slurm}
"""Each backend by the `kind` that its options carry."""


def backend_of(record: Record) -> type[ComputeTarget]:
    """The backend that a run was submitted to.

    Raises
    ------
    RecordError
        The record names another one.
    """
    kind = record.info.compute or "local"
    if kind not in BACKENDS:
        raise RecordError(f"{record.layout.run} is damaged: compute must be one of {', '.join(BACKENDS)}, not {kind!r}")
    return BACKENDS[kind]
