"""The SlurmQueue: a folder of requests for the jobs of one kind, as any process can read it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from amlcore.compute.queue import Queue, is_cancel_overdue, names
from amlcore.compute.request import RunRequest
from amlcore.compute.slurm.cluster import EndedJob, QueuedJob
from amlcore.compute.target import BackendStatus, Outcome
from amlcore.compute.worker_process import log_tail
from amlcore.record.status import RunState
from amlcore.worker.files import read_json
from amlcore.worker.layout import RunLayout

HOPELESS = ("BOOT_FAIL", "CANCELLED", "DEADLINE", "FAILED", "OUT_OF_MEMORY", "TIMEOUT", "UNKNOWN")
"""How a job ends in whose place another would fare no better."""

WAITS = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD")

ASKED = "a job is being asked for"

VANISHED_S = 5.0
"""How soon after it was asked for a job is in the queue, or was and is no more."""

ENDINGS = {
    "CANCELLED": "canceled in Slurm",
    "NODE_FAIL": "its node failed, and Slurm did not start the job again",
    "TIMEOUT": "Slurm ended the job at its time limit",
    "OUT_OF_MEMORY": "Slurm ended the job at its memory limit",
    "UNKNOWN": "Slurm knows nothing of the job any more",
    "PREEMPTED": "other jobs preempted it, and Slurm did not start it again",
}


class SlurmQueue(Queue):
    """Who holds which request: nobody yet, or a job."""

    def make(self, settings: dict[str, object]) -> None:
        os.makedirs(self.layout.jobs)
        super().make(settings)

    def add_jobs(self, ids: list[str]) -> None:
        for name in ids:
            Path(self.layout.jobs, name).touch()

    @property
    def jobs(self) -> list[str]:
        """All jobs that were asked for, ended or not."""
        return names(self.layout.jobs)

    def status(self, run: str, *, active: dict[str, QueuedJob], ended: dict[str, EndedJob]) -> BackendStatus:
        """What is known of `run`, given this user's jobs and what accounting says of those of this queue."""
        for name, job in self.claimed.items():
            if name.startswith(f"{run}."):
                return self._of_claimed(name, job, active=active, ended=ended)
        if not self.is_waiting(run):
            return BackendStatus()  # it is changing hands at this moment, or it has its result
        mine = [active[job] for job in self.jobs if job in active]
        if any(job.state == "RUNNING" for job in mine):
            return BackendStatus(wait_reason="a worker starts, or finishes another run")
        return BackendStatus(wait_reason=mine[0].why if mine else ASKED)

    def failures(self, ended: dict[str, EndedJob]) -> list[str]:
        """The jobs that ended before they took any request, and not for want of a node."""
        failed = [job for job in self.jobs if job in ended and ended[job].state in HOPELESS]
        known = self.ended if failed else []
        return [job for job in failed if job not in known and not self.has_worked(job)]

    def vanished(self, jobs: set[str]) -> dict[str, EndedJob]:
        """Those of `jobs` that were canceled while they waited, as tasks of an array: Slurm keeps no trace of them."""
        return {job: EndedJob("CANCELLED", "", "") for job in self.jobs if job in jobs and self._has_vanished(job)}

    def _has_vanished(self, job: str) -> bool:
        asked = os.stat(f"{self.layout.jobs}/{job}").st_mtime
        begun = (f"{self.layout.claimed}/{job}", f"{self.layout.ended}/{job}", self._log(job, "out"))
        return "_" in job and time.time() - asked > VANISHED_S and not any(map(os.path.exists, begun))

    def unattended_job(self, run: str, *, active: dict[str, QueuedJob]) -> str | None:
        """The job of a canceled run where nobody ends the run: it waits to be started again, or its node hangs."""
        for name, job in self.claimed.items():
            request = self.request(name) if name.startswith(f"{run}.") and job in active else None
            if request is None or _has_result(request):
                continue
            canceled = os.path.exists(RunLayout(request.folder).cancel)
            return job if canceled and (is_cancel_overdue(request) or active[job].state in WAITS) else None
        return None

    def outcome_of(self, job: EndedJob, name: str) -> Outcome:
        """How a run ends whose job ended without its result."""
        state = RunState.Canceled if job.state == "CANCELLED" else RunState.Failed
        words = ENDINGS.get(job.state) or self._said(name) or f"the job ended with exit status {job.exit_status}"
        where = f" on {job.node}" if job.node not in ("", "None assigned") else ""
        return Outcome(state, f"{words} (job {name}{where}, {job.state})")

    def _of_claimed(
        self, name: str, job: str, *, active: dict[str, QueuedJob], ended: dict[str, EndedJob]
    ) -> BackendStatus:
        request = self.request(name)
        if request is None or _has_result(request):
            return BackendStatus()
        if job in active:
            interrupted = f"attempt {request.attempt} was interrupted; {active[job].why}"
            return BackendStatus(wait_reason=interrupted if active[job].state in WAITS else None)
        return BackendStatus(outcome=self.outcome_of(ended[job], job)) if job in ended else BackendStatus()

    def _said(self, job: str) -> str:
        """What a job and its worker said before they failed."""
        said = log_tail(self._log(job, "err"), 600), log_tail(self.layout.log)
        return "; ".join(part.splitlines()[-1] for part in said if part)

    def _log(self, job: str, stream: str) -> str:
        """What a job itself says is written here, as soon as it begins."""
        return f"{self.layout.folder}/slurm/{job}_0_log.{stream}"


def _has_result(request: RunRequest) -> bool:
    return read_json(RunLayout(request.folder).attempt(request.attempt).result) is not None
