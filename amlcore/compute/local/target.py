"""Local: this machine as a compute target."""

from __future__ import annotations

from dataclasses import dataclass

from amlcore.compute.local.liveness import LOST, is_lost, kill_overdue
from amlcore.compute.local.queue import LocalQueue
from amlcore.compute.local.slots import LocalSlots
from amlcore.compute.target import BackendStatus, ComputeTarget, Outcome
from amlcore.record.record import Record
from amlcore.workspace import Workspace


@dataclass
class Local(ComputeTarget):
    """This machine: a worker is a process, a slot is a locked file."""

    kind: str = "local"

    def open(self, workspace: Workspace) -> LocalSlots:
        return LocalSlots(self.slots, kind=self.kind, state=workspace.state_path)

    def check(self) -> None:
        """This machine accepts every run."""

    @staticmethod
    def observe(record: Record) -> BackendStatus:
        if record.claim is not None:
            if is_lost(record):
                return BackendStatus(outcome=LOST)
            kill_overdue(record)
            return BackendStatus()
        entry = record.queue_entry
        queue = None if entry is None else LocalQueue.of_request(entry.path)
        if queue is not None:
            queue.requeue_abandoned()
        if record.withdraw():
            reason = f"its driver ended while the run was {record.status.state}"
            return BackendStatus(outcome=Outcome.lost(reason))
        is_held = queue is not None and queue.is_run_held(record.folder.name)
        return BackendStatus(outcome=None if is_held else LOST)

    @property
    def resumable(self) -> bool:
        return False

    @property
    def slots_key(self) -> str:
        # One machine, whatever a run may use of it: two sets of slots would wait for each other's workers.
        return self.kind
