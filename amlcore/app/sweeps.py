"""The verbs of sweeps: submit, resume, drive, register the best."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from amlcore.app.attached_driver import attached_driver
from amlcore.app.runs import find_run
from amlcore.config import Search
from amlcore.errors import NotFoundError, RecordError, RequestError
from amlcore.execution import background
from amlcore.execution.past_sweeps import load_search, with_full_ids
from amlcore.execution.publication import check_models, publish
from amlcore.execution.source_state import log_skipped_dotenv
from amlcore.execution.submission import log_unread_block
from amlcore.execution.sweep_driver import SweepDriver
from amlcore.execution.sweep_report import draw_in_background, is_worth_plots
from amlcore.execution.sweep_submission import check_search_references, submit_sweep
from amlcore.log import Log
from amlcore.record.ownership import may_reconcile, owner_of
from amlcore.record.record import Record
from amlcore.record.status import RunState, RunStatus
from amlcore.record.usage_lock import in_use
from amlcore.runs import models
from amlcore.runs.reconcile import locked
from amlcore.runs.run import Run
from amlcore.sweep.points import describe_points
from amlcore.sweep.study import TrialState
from amlcore.terminal import tables
from amlcore.terminal.attached import STDOUT, Attached
from amlcore.terminal.progress import Progress
from amlcore.worker.files import write_json
from amlcore.worker.full_disk import retry_while_full
from amlcore.workspace import Workspace

RELEASE_WAIT_S = 10.0
POLL_S = 0.05


def run_sweep(search: Search, *, overrides: list[str], detach: bool, log: Log) -> int:
    """Submit a sweep and follow it to its end: run its trials, compare them, register and package the best.

    Returns
    -------
    int
        0 if a trial produced a result.
    """
    check_models(search)
    search = with_full_ids(search)
    record = submit_sweep(search, overrides=overrides)
    log_unread_block(search.job, log=log)
    log_skipped_dotenv(search.job, log=log)
    points = describe_points(search.sweep, search.space)
    log(f"sweep {record.folder.name} in {record.folder}" + (f" ({points})" if points else ""))
    if note := search.repetition_note(overrides):
        log(note)
    return _drive_or_detach(search, record, detach=detach, log=log)


def resume(workspace: Workspace, reference: str, *, detach: bool, log: Log) -> int:
    """Resume a sweep whose driver has exited."""
    record = find_run(workspace, reference).record
    return _resume(load_search(record), record, detach=detach, log=log)


def resume_same(search: Search, *, detach: bool, log: Log) -> int:
    """Resume the newest sweep of the same search with the limits of `search`."""
    experiment = search.job.workspace.outputs_path / search.job.name
    for folder in sorted(experiment.glob("*/sweep.json"), reverse=True):
        record = Record(folder.parent)
        try:
            past_search = load_search(record)
        except RecordError as error:
            log(f"warning: skipping a sweep: {error}")
            continue
        if past_search.is_same(search):
            resumed_search = past_search.with_sweep(replace(search.sweep, warm_start=past_search.sweep.warm_start))
            return _resume(resumed_search, record, detach=detach, log=log)
    raise RequestError(f"sweep.resume=true: no sweep of this search in {experiment}; omit the key to start a new one")


def _resume(search: Search, record: Record, *, detach: bool, log: Log) -> int:
    deadline = time.monotonic() + RELEASE_WAIT_S
    while record.has_ended() and record.is_driven and time.monotonic() < deadline:  # its driver is finishing
        time.sleep(POLL_S)
    _check_not_driven(record)
    if not may_reconcile(record.folder):
        owner, name = owner_of(record.folder), record.folder.name
        raise RequestError(
            f"sweep {name} belongs to {owner}, and only they can resume it; "
            f"add sweep.warm_start=[{name}] to the same command to start your own sweep that learns from it"
        )
    check_search_references(search)
    with in_use(record.workspace_path):  # once it is driven, nobody removes it
        if not record.is_present:
            raise NotFoundError(f"sweep {record.folder.name} was removed meanwhile")
        with locked(record.folder):  # of two that resume it at once, one drives it
            _check_not_driven(record)
            write_json(record.layout.sweep, search.to_json(), sync=True)
            Path(record.layout.cancel).unlink(missing_ok=True)
            record.drive()
    log(f"resuming sweep {record.folder.name} in {record.folder}")
    return _drive_or_detach(search, record, detach=detach, log=log)


def _check_not_driven(record: Record) -> None:
    if record.is_driven:
        raise RequestError(f"sweep {record.folder.name} is still running; use `aml wait` or `aml cancel`")


def _drive_or_detach(search: Search, record: Record, *, detach: bool, log: Log) -> int:
    if detach:
        background.detach(search.job, record, log=log)
        return 0
    return carry_out(search, record, log=log)


def carry_out(search: Search, record: Record, *, log: Log) -> int:
    """Drive a submitted or resumed sweep, then register and package its best, even if the terminal closes."""
    with attached_driver(record, log=log) as terminal:
        return _drive(search, record, terminal)


def _drive(search: Search, record: Record, terminal: Attached) -> int:
    with retry_while_full(lambda: open(record.layout.stderr, "ab", buffering=0)) as file:

        def file_log(line: str) -> None:
            with suppress(OSError):  # a full disk must not end a sweep
                file.write(f"{line}\n".encode(errors="backslashreplace"))

        def log(line: str) -> None:
            file_log(line)
            terminal.log(line)

        with Progress(search.sweep, total=search.total, terminal=terminal, file_log=file_log) as progress:
            driver = SweepDriver(search, record, log=progress.log, on_step=progress.step)
            status = driver.drive()
        return _finish(search, record, driver, status, log=log, terminal=terminal)


def _finish(
    search: Search, record: Record, driver: SweepDriver, status: RunStatus, *, log: Log, terminal: Attached
) -> int:
    metrics = search.sweep.metrics
    if driver.trials:
        terminal.write(lambda: tables.trials(driver.trials, metrics=metrics, front=driver.front), to=STDOUT)
    if len(metrics) > 1 and len(driver.front):
        log(f"Pareto front: {len(driver.front)} trials that no other trial beats in {' and '.join(metrics)}")
    if is_worth_plots(search, driver.trials):
        draw_in_background(record)
        log(f"plots will appear in {record.layout.outputs}")
    states = [trial.state for trial in driver.trials]
    canceled = states.count(TrialState.CANCELED)
    log(
        f"{len(states)} trials: {states.count(TrialState.COMPLETE)} done, {states.count(TrialState.PRUNED)} pruned, "
        f"{states.count(TrialState.FAIL)} failed" + (f", {canceled} canceled with the sweep" if canceled else "")
    )
    if status.state is not RunState.Completed:
        log(f"sweep {record.folder.name} {status.state}: {status.reason}")
        return status.exit_status or 1
    if status.reason is not None:
        log(status.reason)
    best = driver.best
    if best is not None:
        scope = f" in {metrics[0]}" if len(metrics) > 1 else ""
        log(f"best{scope}: trial {best.number}, {tables.reached(best, metrics)}")
        return _publish(search, record, Run(f"{record.folder}_{best.number}"), log=log)
    return 0


def _publish(search: Search, record: Record, best: Run, *, log: Log) -> int:
    """Register and package the best; its model or its failure is recorded with the sweep too."""
    if best.model is None:
        return publish(search.job, best.record, log=log, sweep=record)
    if best.model != models.last_model(record):  # a driver that was killed had registered it
        models.record_model(record, best.model)
    return 0
