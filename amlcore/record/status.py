"""The state of a run, and how it got there."""

# Without `from __future__ import annotations`: see documents.
from dataclasses import dataclass, field
from enum import StrEnum

INTERRUPTED = 130
"""The exit status of a canceled run and of an interrupted command, as shells use it."""

EARLY_TERMINATION = "early termination by "
"""How the reason of a pruned trial begins. Its state is Canceled, as in Azure ML, although nobody canceled it."""


class RunState(StrEnum):
    """The states of a run, named as in Azure ML."""

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
    """state.json: the state of a run, and how it got there."""

    state: RunState
    reason: str | None = None
    at: float = 0.0  # when it entered this state, in seconds since the epoch
    exit_status: int | None = None  # what `aml run` exits with, once the run has ended
    times: dict[str, float] = field(default_factory=dict)  # when each state began
    usage: dict[str, float] = field(default_factory=dict)  # cpu_s and max_rss_bytes of the script
