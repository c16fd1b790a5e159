"""Where runs execute: one protocol, one backend a file."""

from amlcore.compute.local.target import Local
from amlcore.compute.slurm.target import Slurm
from amlcore.compute.target import BackendStatus, ComputeTarget, Outcome, Slots

__all__ = ["BACKENDS", "BackendStatus", "ComputeTarget", "Local", "Outcome", "Slots", "Slurm"]

BACKENDS: dict[str, type[ComputeTarget]] = {"local": Local, "slurm": Slurm}
"""Each backend by the `kind` that its options carry."""
