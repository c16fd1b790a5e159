"""The driver of a sweep: runs its loop, follows its trials, and brings it to its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from amlcore.config import Job, Search
from amlcore.environment import BuiltEnvironment
from amlcore.errors import AmlcoreError, RecordError, suggest
from amlcore.execution.adoption import damaged_trials, start_over
from amlcore.execution.driver import prepare
from amlcore.execution.interrupts import uninterrupted
from amlcore.execution.past_sweeps import past_trials
from amlcore.execution.sweep_report import columns, write_table
from amlcore.execution.trial_runs import TrialRuns
from amlcore.execution.wait_reporter import WaitReporter
from amlcore.log import Log
from amlcore.record.record import Record
from amlcore.record.status import INTERRUPTED, RunState, RunStatus
from amlcore.runs import cancellation, lifecycle, outputs
from amlcore.runs.missing_files import missing_file
from amlcore.sweep.loop import Loop
from amlcore.sweep.pareto import ParetoFront
from amlcore.sweep.progress import SweepProgress
from amlcore.sweep.study import Study, Trial, TrialState
from amlcore.worker.metrics import last_values, write_record

POLL_S = 0.004
CHECK_S = 1.0
QUIET_S = 5.0
"""Seconds without a running trial before the reason is logged."""

OnStep = Callable[[SweepProgress, list[Trial]], None]
"""Called at each step, with how far the sweep is and the trials that ended in it."""


class SweepDriver:
    """Carries out or resumes a submitted sweep; the only writer of its state and its study while it lives.

    Parameters
    ----------
    on_step : callable
        Called at each step.
    """

    def __init__(self, search: Search, record: Record, *, log: Log, on_step: OnStep) -> None:
        self._search = search
        self._record = record
        self._log = log
        self._on_step = on_step
        self._checked_at = time.monotonic()
        self._wait_reporter = WaitReporter(log, after_s=QUIET_S)
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
        study = self._open_study()
        record.drive()
        runs = TrialRuns(self._search, record, build=self._build)
        try:
            for base in self._search.bases:
                runs.environment(base.job)
            record.enter(RunState.Running)
            loop = self._begin(study, runs)
            if loop.is_over:  # as after `aml resume` of a sweep that was complete
                self._log(f"nothing left to run: all {loop.progress.ended} trials have ended")
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
                self._check_present()
            lifecycle.fail_with(record, error, redacted=search.job.workspace.redacted)
            raise
        finally:
            runs.close()
            study.close()
        return record.status

    def _open_study(self) -> Study:
        """The study of the sweep; trials whose records were lost with the machine's power are unfinished in it."""
        search, file = self._search, Path(self._record.layout.study)

        def opened() -> Study:
            return Study(search.sweep, search.space, file=file, warm_start=lambda: past_trials(search))

        study = opened()
        damaged = damaged_trials(search, self._record, study.trials())
        if not damaged:
            return study
        numbers = ", ".join(map(str, damaged))
        self._log(f"trials whose records are missing or damaged, as after a power cut, run again: {numbers}")
        for record in damaged.values():
            start_over(record)  # first, or a driver that is killed here would leave a damaged record to be adopted
        study.reopen(damaged)
        return opened()

    def _begin(self, study: Study, runs: TrialRuns) -> Loop:
        """Adopt what an earlier driver left; an interruption waits for that, then cancels everything."""
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
                with uninterrupted():  # or a trial's result could be read and lost before the study has it
                    ended = loop.step()
                for trial in ended:
                    with suppress(AmlcoreError, OSError):  # a hint must not end the sweep
                        self._explain(trial)
                self._on_step(loop.progress, ended)
                if Path(self._record.layout.cancel).exists():
                    loop.stop(cancellation.cancel_reason(self._record))
                self._report_wait(runs)
                if not ended:
                    time.sleep(POLL_S)
            except KeyboardInterrupt:
                self._cancel(loop, runs)

    def _cancel(self, loop: Loop, runs: TrialRuns) -> None:
        """End the trials: at the first interruption as `aml cancel` does, at the next one at once."""
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
        """Log hints at the first trial that ended for a reason; later trials would repeat them."""
        if not self._explained and trial.reason is not None and trial.reason.startswith("sweep.primary_metric="):
            self._explained = True
            self._log(f"warning: trial {trial.number}: {trial.reason}")
        if not self._hinted and trial.state is TrialState.FAIL:
            self._hinted = True
            missing = missing_file(self._record.child(trial.number))
            if missing is not None:
                self._log(f"hint: trial {trial.number}: {missing}")
        if not self._judged and trial.state is TrialState.COMPLETE:
            self._judged = True
            self._explain_judgement(trial)
            discarded = outputs.describe_discarded(self._record.child(trial.number))
            if discarded is not None:
                self._log(f"note: trial {trial.number}: {discarded}")

    def _explain_judgement(self, trial: Trial) -> None:
        """Warn at the first completed trial if the script never logged the metric of early termination."""
        early, metric = self._search.sweep.early_termination, self._search.sweep.judged_metric
        if early is None or metric is None:
            return
        logged = last_values(self._record.child(trial.number).layout.metrics, "scalar")
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
            lifecycle.fail(record, f"none of {len(self.trials)} trials produced a result{self._first_reason()}")
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

    def _check_present(self) -> None:
        if not self._record.is_present:
            raise RecordError(f"{self._record.folder} was removed while its sweep was running")

    def _first_reason(self) -> str:
        with_reason = [trial for trial in self.trials if trial.reason is not None]
        failed = min(with_reason, key=lambda trial: trial.state is TrialState.CANCELED, default=None)
        return "" if failed is None else f"; trial {failed.number}: {failed.reason}"

    def _report_wait(self, runs: TrialRuns) -> None:
        now = time.monotonic()
        if now - self._checked_at > CHECK_S:
            self._checked_at = now
            self._check_present()
            self._wait_reporter.report(runs.waits)

    def _build(self, job: Job) -> BuiltEnvironment:
        if job.environment == self._search.job.environment:
            return prepare(self._search.job, self._record, log=self._log)
        return job.environment.build(root=job.workspace.path, cache=job.workspace.environments_path, log=self._log)
