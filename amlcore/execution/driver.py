"""The driver of one run: prepares its environment, enqueues its request, follows it to its end."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from amlcore.compute import Slots
from amlcore.compute.request import PRIVATE_MODE
from amlcore.config.job import Job
from amlcore.environment import BuiltEnvironment, build_lock
from amlcore.environment.lock import pins
from amlcore.errors import AmlcoreError, BuildError, RecordError
from amlcore.execution.interrupts import interrupted_when
from amlcore.execution.mlflow_calls import mlflow_note
from amlcore.execution.run_provenance import read_lock
from amlcore.execution.run_request import run_request
from amlcore.execution.wait_reporter import REMIND_S, WaitReporter
from amlcore.log import Log
from amlcore.record.log_stream import LogStream
from amlcore.record.record import Record
from amlcore.record.status import RunState, RunStatus
from amlcore.runs import cancellation, lifecycle
from amlcore.worker import durable, full_disk
from amlcore.worker.files import write_json, write_text
from amlcore.worker.process.watch import SIGTERM_WAIT_S

POLL_S = 0.01


@contextmanager
def waiting_for_disk_space(log: Log) -> Iterator[None]:
    """Let writes in the block wait for room while the disk is full, and log that once a minute."""
    again_at = 0.0

    def wait(error: OSError) -> bool:
        nonlocal again_at
        if time.monotonic() >= again_at:
            again_at = time.monotonic() + REMIND_S
            log(f"the disk is full; retrying until there is room: {error.filename}")
        time.sleep(full_disk.PAUSE_S)
        return True

    before = full_disk.wait_when_full(wait)
    try:
        yield
    finally:
        full_disk.wait_when_full(*before)


class Driver:
    """Carries out a submitted job; the only writer of the run's state while it lives.

    Parameters
    ----------
    log : callable
        Takes amlcore's log lines, one at a time.
    log_stream : LogStream, optional
        Where the script's output goes as it appears, besides its files.
    """

    def __init__(self, job: Job, record: Record, *, log: Log, log_stream: LogStream | None = None) -> None:
        self._job = job
        self._record = record
        self._log = log
        self._log_stream = log_stream
        self._slots: Slots | None = None

    def drive(self) -> RunStatus:
        """Drive the run to its end; an interruption cancels it.

        Returns
        -------
        RunStatus
            How it ended.
        """
        self._record.drive()
        try:
            self._until_ended()
            if self._log_stream is not None:
                self._log_stream.drain()
        except AmlcoreError as error:
            if not self._record.is_present:
                raise
            lifecycle.fail_with(self._record, error, redacted=self._job.workspace.redacted)
        except BaseException as error:
            lifecycle.fail_with(self._record, error, redacted=self._job.workspace.redacted)
            raise
        finally:
            if self._slots is not None:
                self._slots.close()
        return self._record.status

    def _until_ended(self) -> None:
        """Drive the run; the first interruption cancels it, the next one kills the script."""
        interrupted = False
        while not self._record.has_ended():
            try:
                if interrupted:
                    self._cancel()
                else:
                    self._execute(prepare(self._job, self._record, log=self._log))
            except KeyboardInterrupt:
                if interrupted:
                    cancellation.kill(self._record)
                    if self._slots is not None:
                        self._slots.end(self._record.folder.name)
                    full_disk.fail_when_full()
                interrupted = True

    def _execute(self, built: BuiltEnvironment) -> None:
        if Path(self._record.layout.cancel).exists():
            lifecycle.cancel(self._record)
            return
        request, kind = run_request(self._job, self._record, built)
        self._slots = self._job.compute.open(self._job.workspace)
        self._record.enter(RunState.Queued)
        write_json(self._record.layout.request, request.to_json(), mode=PRIVATE_MODE)
        self._slots.submit(request, kind, keep_open=(built.shared_lock(),))
        self._follow(self._slots)

    def _follow(self, slots: Slots) -> None:
        """Watch the run's files until they contain a result, and keep its state up to date."""
        record, run = self._record, self._record.folder.name
        wait_reporter = WaitReporter(self._log)
        progress: tuple[str | None, int, bool] = (None, 0, False)
        while record.result is None:
            self._check_present()
            outcomes = slots.poll()
            if run in outcomes and record.result is None:
                lifecycle.end_without_result(record, outcomes[run])
                return
            if self._cancel_requested() and record.claim is None and slots.withdraw(run):
                lifecycle.cancel(record)
                return
            reason = slots.wait_reason(run)
            # The state is read and written only if something it depends on has changed: this runs 100 times a second.
            attempt = record.attempt
            is_claimed = attempt > 0 and (progress[1:] == (attempt, True) or record.claim is not None)
            if (reason, attempt, is_claimed) != progress:
                progress = (reason, attempt, is_claimed)
                lifecycle.update_state(record, reason)
            wait_reporter.report(reason)
            if self._log_stream is not None:
                self._log_stream.pump()
            time.sleep(POLL_S)
        self._check_present()
        if lifecycle.was_terminated(record):
            time.sleep(SIGTERM_WAIT_S)  # whoever kills all processes at once reaches this one too
        if RunState.Running not in record.status.times:
            record.enter(RunState.Running)
        lifecycle.finalize(record)

    def _check_present(self) -> None:
        if not self._record.is_present:
            raise RecordError(f"{self._record.folder} was removed while its run was in progress")

    def _cancel_requested(self) -> bool:
        if not Path(self._record.layout.cancel).exists():
            return False
        if self._record.status.state is not RunState.CancelRequested:
            self._record.enter(RunState.CancelRequested)
        return True

    def _cancel(self) -> None:
        self._log("canceling; interrupt again to kill the script at once")
        cancellation.request_cancel(self._record)
        if self._slots is None or not self._record.is_enqueued:
            lifecycle.cancel(self._record)
        else:
            self._follow(self._slots)


def prepare(job: Job, record: Record, *, log: Log) -> BuiltEnvironment:
    """Build the environment of `job`, or find it in the cache; its log streams and stays in the run."""
    record.enter(RunState.Preparing)
    with full_disk.retry_while_full(lambda: open(record.layout.build_log, "ab", buffering=0)) as file:

        def keep(line: str) -> None:
            line = job.workspace.redacted(line)
            with suppress(OSError):  # on a full disk the build itself reports it
                os.write(file.fileno(), f"{line}\n".encode(errors="backslashreplace"))
            log(line)

        pinned = record.environment
        lock = None if pinned is None else read_lock(record)
        cache = job.workspace.environments_path
        with interrupted_when(Path(record.layout.cancel).exists):
            if pinned is None or lock is None or job.environment.user_managed_dependencies:
                built = job.environment.build(root=job.workspace.path, cache=cache, log=keep)
            else:
                built = build_lock(
                    lock, python_version=pinned.python_version, cache=cache, log=keep, name=job.environment.name
                )
    if lock is not None:
        _check_same(lock, built.lock)
    keep_environment(record, built, job=job)
    return built


def keep_environment(record: Record, built: BuiltEnvironment, *, job: Job) -> None:
    """Write into the record which environment the run has."""
    write_text(record.layout.lock, built.lock)  # atomically: a resumed or repeated run already has one
    facts = {
        **asdict(built),
        "python": str(built.python),
        "folder": str(built.folder or ""),
        "notes": [*built.notes, *filter(None, [mlflow_note(job, built.lock)])],
    }
    facts["lock_sha256"] = hashlib.sha256(facts.pop("lock").encode()).hexdigest()
    write_json(record.layout.environment, {**facts, "name": job.environment.name})
    if not record.is_child:
        durable.sync([record.layout.lock, record.layout.environment, record.folder])


def _check_same(original: str, current: str) -> None:
    """Check that a rerun gets the packages of the run that it repeats."""
    before, now = pins(original), pins(current)
    changed = [
        f"{name} {before.get(name, 'absent')} → {now.get(name, 'absent')}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]
    if changed:
        raise BuildError(f"this interpreter's packages have changed since the original run: {', '.join(changed)}")
