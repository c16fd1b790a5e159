"""The driver of a sweep: lays its record, runs its loop, and brings it to its end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from amlcore.config import Job, Search
from amlcore.environment import BuiltEnvironment
from amlcore.errors import AmlcoreError, RecordError, RequestError, suggest
from amlcore.execution.driver import prepare
from amlcore.execution.interrupts import uninterrupted
from amlcore.execution.past_sweeps import past_trials, with_full_ids
from amlcore.execution.source import capture_source
from amlcore.execution.submission import check, dry_run, new_folder, write_run_record
from amlcore.execution.sweep_report import columns, write_table
from amlcore.execution.trial_runs import TrialRuns
from amlcore.execution.wait_reporter import WaitReporter
from amlcore.log import Log
from amlcore.record.record import Record
from amlcore.record.status import INTERRUPTED, RunState, RunStatus
from amlcore.runs import cancellation, lifecycle, outputs
from amlcore.runs.missing_files import missing_file
from amlcore.script.arguments import check_references
from amlcore.sweep.loop import Loop
from amlcore.sweep.pareto import ParetoFront
from amlcore.sweep.progress import SweepProgress
from amlcore.sweep.study import Study, Trial, TrialState, first_trials
from amlcore.worker.files import write_json
from amlcore.worker.layout import RUN_VARIABLE, RunLayout
from amlcore.worker.metrics import last_values, write_record

POLL_S = 0.004
SHOWN_FIRST = 5
LOOK_S = 1.0
WAITING_S = 5.0
"""How long none of the trials may run before that is spoken of."""

Watch = Callable[[SweepProgress, list[Trial]], None]
"""Is told of every step: how far the sweep is, and which trials have ended by it."""


def check_search(search: Search) -> None:
    """Find out before anything starts whether the sweep can be carried out here."""
    _check_nesting()
    past_trials(search)
    for base in search.bases:
        check(base.job)
    _check_searched_references(search)
    if search.job.model.name is not None and not search.sweep.metrics:
        raise RequestError(
            "sweep.primary_metric is not set: which trial's model would be registered? Name what the script logs, "
            "such as sweep.primary_metric=accuracy"
        )


def check_search_references(search: Search) -> None:
    """Raise RequestError if a trial would refer to an environment variable that is not set here."""
    for base in search.bases:
        base.job.script.check_references()
    _check_searched_references(search)


def _check_searched_references(search: Search) -> None:
    for key, dimension in search.space.items():
        for choice in dimension.ends:
            if key.startswith("script.") and isinstance(choice, str):
                check_references(key, choice)


def _check_nesting() -> None:
    """Refuse a sweep inside a trial: it would wait for the slot that the trial itself holds."""
    folder = os.environ.get(RUN_VARIABLE)
    info = None if folder is None or not Path(folder, "run.json").exists() else Record(Path(folder)).info
    if info is not None and info.trial is not None:
        raise RequestError(f"a sweep inside a trial of a sweep (run {info.id}) is not carried out; search in one")


def submit_sweep(search: Search, *, overrides: list[str]) -> Record:
    """Check the sweep, take its snapshots and lay its record, in the state NotStarted."""
    check_search(search)
    job = search.job
    job.workspace.writable()
    source, written = capture_source(job), search.to_json()
    same = {key: value for key, value in job.script.parameters.items() if f"script.arguments.{key}" not in search.space}
    more = {"parameters": same, "arguments": None, "sweep": described(search)}
    with new_folder(job) as folder:
        write_json(Record(folder).layout.sweep, written)
        return write_run_record(job, source, folder=folder, overrides=overrides, more=more)


def described(search: Search) -> dict[str, Any]:
    """What is searched, how, and for what, in words."""
    sweep = search.sweep
    known = {
        "sampler": sweep.sampler,
        "primary_metric": sweep.primary_metric,
        "goal": [goal.value for goal in sweep.goals] if len(sweep.metrics) > 1 else sweep.goals[0].value,
        "points": search.points,
        "max_total_runs": search.total,
        "seed": sweep.seed,
    }
    warm = {"warm_start": sweep.warm_start} if sweep.warm_start else {}
    return {**known, **warm, "search_space": search.space.describe()}


def dry_run_sweep(search: Search) -> dict[str, Any]:
    """The space as it was understood, the first trials, and the request of the first; nothing is written or started."""
    search = with_full_ids(search)
    check_search(search)
    sweep = search.sweep
    first = list(first_trials(sweep, search.space, SHOWN_FIRST, warm_start=lambda: past_trials(search)))
    said = "first_trials" if sweep.is_grid or sweep.seed is not None else "trials_such_as"
    job, _ = search.trial(first[0].values)
    return {
        "sweep": described(search),
        said: [trial.values for trial in first],
        "request": dry_run(replace(job, model=search.job.model, deployment=search.job.deployment)),
    }


class SweepDriver:
    """Carries a submitted sweep out, or on; the only writer of its state and its study while it lives.

    Parameters
    ----------
    watch : callable
        Is told of every step.
    """

    def __init__(self, search: Search, record: Record, *, log: Log, watch: Watch) -> None:
        self._search = search
        self._record = record
        self._log = log
        self._watch = watch
        self._looked = time.monotonic()
        self._wait_reporter = WaitReporter(log, after_s=WAITING_S)
        self._interrupted = False
        self._explained = False
        self._judged = False
        self._hinted = False
        self.front = ParetoFront(search.sweep.goals)
        self.trials: list[Trial] = []

    @property
    def best(self) -> Trial | None:
        return self.front.best

    def drive(self) -> RunStatus:
        """Bring the sweep to its end; an interruption cancels it.

        Returns
        -------
        RunStatus
            How it ended.
        """
        record, search = self._record, self._search
        file = Path(record.layout.study)
        study = Study(search.sweep, search.space, file=file, warm_start=lambda: past_trials(search))
        record.drive()
        runs = TrialRuns(self._search, record, build=self._build)
        try:
            for base in self._search.bases:
                runs.environment(base.job)
            record.enter(RunState.Running)
            loop = self._begin(study, runs)
            self._follow(loop, runs)
            self.trials = study.trials()
            self._finish(loop)
        except AmlcoreError as error:
            if not record.is_present:
                raise
            lifecycle.fail_with(record, error, redacted=search.job.workspace.redacted)
        except KeyboardInterrupt:
            cancellation.request_cancel(record)
            lifecycle.cancel(record)
        except BaseException as error:
            if isinstance(error, FileNotFoundError):
                self._check_there()
            lifecycle.fail_with(record, error, redacted=search.job.workspace.redacted)
            raise
        finally:
            runs.close()
            study.close()
        return record.status

    def _begin(self, study: Study, runs: TrialRuns) -> Loop:
        """Take up what an earlier driver left; an interruption waits for that, and cancels it with the rest."""
        loop: Loop | None = None
        sweep, slots = self._search.sweep, self._search.job.compute.slots
        try:
            with uninterrupted():
                loop = Loop(study, runs, sweep=sweep, slots=slots, clock=time.monotonic)
        except KeyboardInterrupt:
            if loop is None:
                raise
            self._cancel(loop, runs)
        return loop

    def _follow(self, loop: Loop, runs: TrialRuns) -> None:
        while not loop.is_over:
            try:
                with uninterrupted():  # else what a trial reached could be read, and lost before it is told
                    ended = loop.step()
                for trial in ended:
                    with suppress(AmlcoreError, OSError):  # no hint is worth the sweep
                        self._explain(trial)
                self._watch(loop.progress, ended)
                if Path(self._record.layout.cancel).exists():
                    loop.stop(cancellation.cancel_reason(self._record))
                self._report_wait(runs)
                if not ended:
                    time.sleep(POLL_S)
            except KeyboardInterrupt:
                self._cancel(loop, runs)

    def _cancel(self, loop: Loop, runs: TrialRuns) -> None:
        """End the trials: at the first interruption as `aml cancel` does, at a further one at once."""
        again = self._interrupted
        self._interrupted = True
        try:
            with uninterrupted():
                if not again:
                    self._log("canceling; interrupt again to kill the trials at once")
                    cancellation.request_cancel(self._record)
                    loop.stop("canceled")
        except KeyboardInterrupt:
            again = True
        if again:
            runs.kill()

    def _explain(self, trial: Trial) -> None:
        """Say at the first trial that ends so that the metric has another name; the others would only repeat it."""
        if not self._explained and trial.reason is not None and trial.reason.startswith("sweep.primary_metric="):
            self._explained = True
            self._log(f"warning: trial {trial.number}: {trial.reason}")
        if not self._hinted and trial.state is TrialState.FAIL:
            self._hinted = True
            missing = missing_file(Record(Path(f"{self._record.folder}_{trial.number}")))
            if missing is not None:
                self._log(f"hint: trial {trial.number}: {missing}")
        if not self._judged and trial.state is TrialState.COMPLETE:
            self._judged = True
            self._explain_judgement(trial)
            discarded = outputs.describe_discarded(Record(Path(f"{self._record.folder}_{trial.number}")))
            if discarded is not None:
                self._log(f"note: trial {trial.number}: {discarded}")

    def _explain_judgement(self, trial: Trial) -> None:
        """Say at the first trial that completes so that early termination never saw what it judges by."""
        early, metric = self._search.sweep.early_termination, self._search.sweep.judged_metric
        if early is None or metric is None:
            return
        logged = last_values(RunLayout(f"{self._record.folder}_{trial.number}").metrics, "scalar")
        if metric not in logged:
            self._log(
                f"warning: trial {trial.number}: sweep.early_termination.metric={metric}: the script did not log it, "
                f"so no trial is stopped; {suggest(metric, logged)}"
            )

    def _finish(self, loop: Loop) -> None:
        record = self._record
        record.enter(RunState.Finalizing)
        self.front = loop.progress.front
        if self.best is not None:
            self._keep_best(self.best)
        write_table(record, self.trials, self._search.sweep.metrics, self.front)
        if Path(record.layout.cancel).exists():
            record.enter(RunState.Canceled, cancellation.cancel_reason(record), exit_status=INTERRUPTED)
        elif loop.failed_too_often:
            lifecycle.fail(record, str(loop.stopped))
        elif not loop.progress.counts[TrialState.COMPLETE]:
            lifecycle.fail(record, f"none of {len(self.trials)} trials came to a result{self._first_reason()}")
        else:
            record.enter(RunState.Completed, loop.stopped, exit_status=0)

    def _keep_best(self, best: Trial) -> None:
        folder, name = self._record.layout.metrics, self._record.folder.name
        metrics = self._search.sweep.metrics
        for metric, value in zip(metrics, best.reached, strict=True):
            write_record(folder, "scalar", metric, value=value)
        write_record(folder, "tag", "best", value=f"{name}_{best.number}")
        if len(metrics) > 1:
            write_record(folder, "table", "pareto_front", value=columns(self.front.trials, metrics, sweep=name))

    def _check_there(self) -> None:
        if not self._record.is_present:
            raise RecordError(f"{self._record.folder} was removed while its sweep was carried out")

    def _first_reason(self) -> str:
        known = [trial for trial in self.trials if trial.reason is not None]
        failed = min(known, key=lambda trial: trial.state is TrialState.CANCELED, default=None)
        return "" if failed is None else f"; trial {failed.number}: {failed.reason}"

    def _report_wait(self, runs: TrialRuns) -> None:
        now = time.monotonic()
        if now - self._looked > LOOK_S:
            self._looked = now
            self._check_there()
            self._wait_reporter.report(runs.waits)

    def _build(self, job: Job) -> BuiltEnvironment:
        if job.environment == self._search.job.environment:
            return prepare(self._search.job, self._record, log=self._log)
        return job.environment.build(root=job.workspace.path, cache=job.workspace.environments_path, log=self._log)
