"""The TrialRuns: the trials of a sweep as child runs on its compute targets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from amlcore.compute import Outcome, Slots, backend_of
from amlcore.compute.queue import LOST_CHECK_S
from amlcore.compute.request import PRIVATE_MODE
from amlcore.config import Job, Search
from amlcore.environment import BuiltEnvironment
from amlcore.errors import AmlcoreError, RecordError, suggest
from amlcore.execution import adoption
from amlcore.execution.driver import keep_environment
from amlcore.execution.run_request import run_request
from amlcore.execution.source_state import SourceState, capture_source, read_sources, source_key, write_sources
from amlcore.execution.submission import write_run_record
from amlcore.model import Registration
from amlcore.record.log_stream import last_lines
from amlcore.record.record import Record
from amlcore.record.status import RunState
from amlcore.record.usage_lock import in_use
from amlcore.runs import cancellation, lifecycle
from amlcore.sweep.intervals import Intervals, as_float
from amlcore.sweep.loop import MetricReported, TrialEnded
from amlcore.sweep.study import Trial, TrialState
from amlcore.worker.files import write_json
from amlcore.worker.full_disk import retry_while_full
from amlcore.worker.metrics import MetricsTail, read_metrics
from amlcore.worker.process.watch import SIGTERM_WAIT_S

Builder = Callable[[Job], BuiltEnvironment]


@dataclass
class TrialRun:
    """A trial that runs or waits to run."""

    trial: Trial
    record: Record
    slots: Slots
    tail: MetricsTail
    intervals: Intervals
    metrics: dict[str, Any] = field(default_factory=dict)
    has_started: bool = False
    adopted: bool = False  # whether an earlier driver enqueued its request
    checked: float = field(default_factory=time.monotonic)
    terminated_at: float = 0.0  # when its script was first seen terminated, while the cause is still unknown

    def may_still_be_canceled(self) -> bool:
        """Whether a request to cancel by whoever terminated the script may still arrive."""
        self.terminated_at = self.terminated_at or time.monotonic()
        return time.monotonic() - self.terminated_at < SIGTERM_WAIT_S

    def read_metrics(self) -> list[tuple[int, float]]:
        """Read the newly logged metrics; of the metric that it is judged by, each value with its interval."""
        new = [record for record in self.tail.read_new() if record["kind"] == "scalar"]
        self.metrics.update((record["name"], record["value"]) for record in new)
        return list(self.intervals.take(new))


class TrialRuns:
    """Writes the records of trials, submits them, follows their files and brings them to their end.

    Parameters
    ----------
    record : Record
        Of the sweep; the record of trial 7 is next to it, with _7 after its name.
    build : callable
        Returns the environment of a job, built if needed.
    """

    def __init__(self, search: Search, record: Record, *, build: Builder) -> None:
        self._search = search
        self._record = record
        self._build = build
        self._running: dict[int, TrialRun] = {}
        self._slots: dict[str, Slots] = {}
        self._built: dict[str, BuiltEnvironment] = {}
        self._held: set[tuple[int, str]] = set()
        self._sources = read_sources(record)

    def start(self, trial: Trial) -> None:
        retry_while_full(lambda: self._start(trial), str(self._record.folder))

    def _start(self, trial: Trial) -> None:
        """Enqueue a trial unless an earlier driver did, which may have left a folder for it."""
        record = self._record.child(trial.number)
        job, overrides = self._search.trial(trial.values)
        job = self._limited(job)
        if not adoption.can_continue(record, overrides):
            adoption.start_over(record)
            record = write_run_record(  # anything read from the old folder is invalid now
                job,
                self.source(job),
                folder=record.folder,
                overrides=overrides,
                parent=self._record.folder.name,
                more={"trial": trial.number},
            )
        running = TrialRun(trial, record, self._open(job), MetricsTail(record.layout.metrics), self._intervals())
        self._running[trial.number] = running
        if record.result is not None or (record.has_ended() and not adoption.never_began(record)):
            return
        record.drive()
        if adoption.is_claimed(record):
            running.adopted = True
            return
        built = self.environment(job)
        keep_environment(record, built, job=job)
        request, kind = run_request(job, record, built)
        write_json(record.layout.request, request.to_json(), mode=PRIVATE_MODE)
        record.enter(RunState.Queued)
        holder = (id(running.slots), kind.key)
        keep = () if holder in self._held else (built.shared_lock(),)
        self._held.add(holder)
        running.slots.submit(request, kind, keep_open=keep)

    def poll(self) -> Iterator[TrialEnded | MetricReported]:
        outcomes = {run: outcome for slots in self._slots.values() for run, outcome in slots.poll().items()}
        for number, running in list(self._running.items()):
            try:
                has_ended = self._look(running, outcomes)
                values = list(self._new_values(running))
                ended = self._ended(running) if has_ended else None
                if ended is not None:
                    running.record.release()
            except (AmlcoreError, FileNotFoundError) as error:
                if running.record.is_present and not isinstance(error, AmlcoreError):
                    raise
                running.slots.withdraw(running.record.folder.name)
                values, ended = [], TrialEnded(number, TrialState.FAIL, reason=str(error))
            yield from (MetricReported(number, value, interval) for interval, value in values)
            if ended is not None:
                del self._running[number]
                yield ended

    @property
    def waits(self) -> str | None:
        """Why no trial is running; None if one is, or if no reason is known."""
        states = []
        for running in self._running.values():
            with suppress(RecordError):  # `poll` ends a trial whose record is damaged
                states.append(running.record.status)
        states = [status for status in states if not status.state.ended]
        if any(status.state is not RunState.Queued for status in states):
            return None
        return next((status.reason for status in states if status.reason is not None), None)

    def stop(self, number: int, reason: str, *, pruned: bool = False) -> None:
        record = self._running[number].record
        if not record.has_ended():  # its last metrics are read after its end
            with suppress(FileNotFoundError):  # it was removed
                cancellation.request_cancel(record, reason, pruned=pruned, with_sweep=not pruned)

    def history(self, number: int) -> list[float]:
        records = read_metrics(self._record.child(number).layout.metrics)
        return self._intervals().history(record for record in records if record["kind"] == "scalar")

    def kill(self) -> None:
        """End the scripts of all trials at once."""
        for running in self._running.values():
            cancellation.kill(running.record)

    def close(self) -> None:
        for slots in self._slots.values():
            slots.close()

    def source(self, job: Job) -> SourceState:
        """The snapshot and inputs of `job`, taken once for all trials that share them."""
        key = source_key(job)
        if key not in self._sources:
            with in_use(job.workspace.path):
                self._sources[key] = capture_source(job)
                write_sources(self._record, self._sources, sync=True)
        return self._sources[key]

    def environment(self, job: Job) -> BuiltEnvironment:
        """The environment of `job`, built once for all trials that share it."""
        key = repr(job.environment)
        if key not in self._built:
            self._built[key] = self._build(job)
        return self._built[key]

    def _limited(self, job: Job) -> Job:
        """The job of one trial: within sweep.trial_timeout_min, and without a model of its own to register."""
        limits = [job.compute.timeout_min, self._search.sweep.trial_timeout_min]
        timeout_min = min((limit for limit in limits if limit is not None), default=None)
        compute = replace(job.compute, timeout_min=timeout_min)
        return replace(job, compute=compute, model=Registration(name=None), deployment=None)

    def _open(self, job: Job) -> Slots:
        key = job.compute.slots_key
        if key not in self._slots:
            self._slots[key] = job.compute.open(job.workspace)
        return self._slots[key]

    def _look(self, running: TrialRun, outcomes: dict[str, Outcome]) -> bool:
        """Keep the state of a trial's run up to date with its files; true once it has ended."""
        record, run = running.record, running.record.folder.name
        if record.result is not None:
            self._check_present(record)
            if not record.has_ended():
                if lifecycle.was_terminated(record) and running.may_still_be_canceled():
                    return False  # whoever kills all processes at once reaches this one too
                lifecycle.finalize(record)
            return True
        if run in outcomes:
            lifecycle.end_without_result(record, outcomes[run])
            return True
        if not running.has_started:
            if record.has_ended():
                return True
            if Path(record.layout.cancel).exists() and running.slots.withdraw(run):
                lifecycle.cancel(record)
                return True
            if record.claim is not None:
                running.has_started = True
                record.enter(RunState.Running)
        return self._is_lost(running)

    @staticmethod
    def _check_present(record: Record) -> None:
        if not record.is_present:
            raise RecordError(f"{record.folder} was removed while its trial was running")

    def _is_lost(self, running: TrialRun) -> bool:
        record, now = running.record, time.monotonic()
        if now - running.checked < LOST_CHECK_S:
            return False
        running.checked = now
        self._check_present(record)
        lifecycle.update_state(record, running.slots.wait_reason(record.folder.name))
        if not running.adopted:  # slots watch what was enqueued through them
            return False
        outcome = backend_of(record).observe(record).outcome
        if outcome is None or record.result is not None:
            return False
        lifecycle.end_without_result(record, outcome)
        return True

    def _new_values(self, running: TrialRun) -> list[tuple[int, float]]:
        return running.read_metrics() if running.has_started or running.record.attempt else []

    def _intervals(self) -> Intervals:
        return Intervals(self._search.sweep.judged_metric)

    def _ended(self, running: TrialRun) -> TrialEnded:
        number, status = running.trial.number, running.record.status
        if status.state is RunState.Canceled and cancellation.was_pruned(running.record):
            return TrialEnded(number, TrialState.PRUNED, reason=status.reason)
        if status.state is RunState.Canceled and cancellation.was_canceled_with_sweep(running.record):
            return TrialEnded(number, TrialState.CANCELED, reason=status.reason)
        if status.state is not RunState.Completed:
            reason = _with_last_line(status.reason, running.record)
            return TrialEnded(number, TrialState.FAIL, reason=self._search.job.workspace.redacted(reason))
        reached = []
        for metric in self._search.sweep.metrics:
            value = running.metrics.get(metric)
            if value is None:
                return TrialEnded(number, TrialState.FAIL, reason=_unlogged(metric, running.metrics))
            if not isinstance(value, int | float):
                return TrialEnded(number, TrialState.FAIL, reason=f"{metric} is {value}, which is not a number")
            reached.append(as_float(value))
        if not reached:
            return TrialEnded(number, TrialState.COMPLETE)
        first, *further = reached
        return TrialEnded(number, TrialState.COMPLETE, first, further=tuple(further))


def _with_last_line(reason: str | None, record: Record) -> str:
    """Why a trial failed, with the last line of its script, which usually names the cause."""
    return ": ".join(filter(None, (reason, *(last_lines(record.layout, 1) if record.attempt else ()))))


def _unlogged(metric: str, metrics: dict[str, Any]) -> str:
    if not metrics:
        return f"sweep.primary_metric={metric}: the script logged no metric; use run.log('{metric}', value)"
    return f"sweep.primary_metric={metric}: the script did not log it; {suggest(metric, metrics)}"
