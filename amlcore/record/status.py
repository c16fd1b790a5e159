"""How far a run is: its states, and how it came to the one it is in."""

# Without `from __future__ import annotations`: see documents.
from dataclasses import dataclass, field
from enum import StrEnum

INTERRUPTED = 130
"""The exit status of a run that was canceled, and of a command that was interrupted, as a shell has it."""

EARLY_TERMINATION = "early termination by "
"""How the reason of a pruned trial begins: its state is Canceled, as Azure ML has it, and nobody canceled it."""


class RunState(StrEnum):
    """Azure ML's states of a run, by their own names."""

    NotStarted = "NotStarted"
    Preparing = "Preparing"
    Queued = "Queued"
    Running = "Running"
    Finalizing = "Finalizing"
    CancelRequested = "CancelRequested"
    Completed = "Completed"
    Failed = "Failed"
    Canceled = "Canceled"

    @property
    def ended(self) -> bool:
        return self in (RunState.Completed, RunState.Failed, RunState.Canceled)


@dataclass(frozen=True)
class RunStatus:
    """How far a run is, and how it got there."""

    state: RunState
    reason: str | None = None
    at: float = 0.0  # when it came to this state, in seconds since the epoch
    exit_status: int | None = None  # what `aml run` passes on, once the run has ended
    times: dict[str, float] = field(default_factory=dict)  # when each state began
    usage: dict[str, float] = field(default_factory=dict)  # cpu_s and max_rss_bytes of the script
