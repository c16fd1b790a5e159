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
"""States of ended jobs that another job would not improve on."""

WAITS = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD")

SUBMITTING = "the job is being submitted"

VANISHED_S = 5.0
"""How soon after its submission a job is in the queue, or has left it."""

ENDINGS = {
    "CANCELLED": "canceled in Slurm",
    "NODE_FAIL": "its node failed, and Slurm did not restart the job",
    "TIMEOUT": "Slurm ended the job at its time limit",
    "OUT_OF_MEMORY": "Slurm ended the job at its memory limit",
    "UNKNOWN": "Slurm no longer knows the job",
    "PREEMPTED": "another job preempted it, and Slurm did not restart it",
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
        """All jobs that were submitted, ended or not."""
        return names(self.layout.jobs)

    def status(self, run: str, *, active: dict[str, QueuedJob], ended: dict[str, EndedJob]) -> BackendStatus:
        """The status of `run`, from this user's active jobs and the ended jobs of this queue."""
        for name, job in self.claimed.items():
            if name.startswith(f"{run}."):
                return self._claimed_status(name, job, active=active, ended=ended)
        if not self.is_waiting(run):
            return BackendStatus()  # it is being claimed at this moment, or has a result
        mine = [active[job] for job in self.jobs if job in active]
        if any(job.state == "RUNNING" for job in mine):
            return BackendStatus(wait_reason="a worker is starting, or finishing another run")
        return BackendStatus(wait_reason=mine[0].why if mine else SUBMITTING)

    def failures(self, ended: dict[str, EndedJob]) -> list[str]:
        """The jobs that ended before they took a request, for a reason other than their node."""
        failed = [job for job in self.jobs if job in ended and ended[job].state in HOPELESS]
        reported = self.ended if failed else []
        return [job for job in failed if job not in reported and not self.has_worked(job)]

    def vanished(self, jobs: set[str]) -> dict[str, EndedJob]:
        """The tasks of arrays in `jobs` that were canceled while they waited: Slurm keeps no trace of them."""
        return {job: EndedJob("CANCELLED", "", "") for job in self.jobs if job in jobs and self._has_vanished(job)}

    def _has_vanished(self, job: str) -> bool:
        submitted_at = os.stat(f"{self.layout.jobs}/{job}").st_mtime
        traces = (f"{self.layout.claimed}/{job}", f"{self.layout.ended}/{job}", self._log(job, "out"))
        return "_" in job and time.time() - submitted_at > VANISHED_S and not any(map(os.path.exists, traces))

    def unattended_job(self, run: str, *, active: dict[str, QueuedJob]) -> str | None:
        """The job of a canceled run that nothing else will end: it waits to be restarted, or its node hangs."""
        for name, job in self.claimed.items():
            request = self.request(name) if name.startswith(f"{run}.") and job in active else None
            if request is None or _has_result(request):
                continue
            canceled = os.path.exists(RunLayout(request.folder).cancel)
            return job if canceled and (is_cancel_overdue(request) or active[job].state in WAITS) else None
        return None

    def outcome_of(self, job: EndedJob, name: str) -> Outcome:
        """The outcome of a run whose job ended without a result."""
        state = RunState.Canceled if job.state == "CANCELLED" else RunState.Failed
        reason = ENDINGS.get(job.state) or self._last_lines(name) or f"the job ended with exit status {job.exit_status}"
        where = f" on {job.node}" if job.node not in ("", "None assigned") else ""
        return Outcome(state, f"{reason} (job {name}{where}, {job.state})")

    def _claimed_status(
        self, name: str, job: str, *, active: dict[str, QueuedJob], ended: dict[str, EndedJob]
    ) -> BackendStatus:
        request = self.request(name)
        if request is None or _has_result(request):
            return BackendStatus()
        if job in active:
            interrupted = f"attempt {request.attempt} was interrupted; {active[job].why}"
            return BackendStatus(wait_reason=interrupted if active[job].state in WAITS else None)
        return BackendStatus(outcome=self.outcome_of(ended[job], job)) if job in ended else BackendStatus()

    def _last_lines(self, job: str) -> str:
        """The last line of the job's log, and of its worker's."""
        logs = log_tail(self._log(job, "err"), 600), log_tail(self.layout.log)
        return "; ".join(part.splitlines()[-1] for part in logs if part)

    def _log(self, job: str, stream: str) -> str:
        """The job's own log, which it opens as soon as it begins."""
        return f"{self.layout.folder}/slurm/{job}_0_log.{stream}"


def _has_result(request: RunRequest) -> bool:
    return read_json(RunLayout(request.folder).attempt(request.attempt).result) is not None
