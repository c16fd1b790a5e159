"""The submission of a sweep: checks it, writes its record, and describes it for --dry-run."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from amlcore.config import Search
from amlcore.errors import RequestError
from amlcore.execution.past_sweeps import past_trials, with_full_ids
from amlcore.execution.source_state import capture_source, source_key, write_sources
from amlcore.execution.submission import check, dry_run, new_folder, write_run_record
from amlcore.record.record import Record
from amlcore.record.usage_lock import in_use
from amlcore.script.arguments import check_references
from amlcore.sweep.study import first_trials
from amlcore.worker.files import write_json
from amlcore.worker.layout import RUN_VARIABLE

SHOWN_FIRST = 5


def check_search(search: Search) -> None:
    """Check, before anything starts, that the sweep can run here."""
    _check_nesting()
    past_trials(search)
    for base in search.bases:
        check(base.job)
    _check_searched_references(search)
    if search.job.model.name is not None and not search.sweep.metrics:
        raise RequestError(
            "sweep.primary_metric is not set, so no best trial can be registered; choose a metric that the script "
            "logs, such as sweep.primary_metric=accuracy"
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
    """Refuse a sweep inside a trial: it would wait for the slot that the trial holds."""
    folder = os.environ.get(RUN_VARIABLE)
    info = None if folder is None or not Path(folder, "run.json").exists() else Record(Path(folder)).info
    if info is not None and info.trial is not None:
        raise RequestError(f"a trial of a sweep (run {info.id}) cannot start a sweep; search everything in one sweep")


def submit_sweep(search: Search, *, overrides: list[str]) -> Record:
    """Check the sweep, take its snapshot and write its record, in the state NotStarted."""
    check_search(search)
    search.job.workspace.writable()
    with in_use(search.job.workspace.path):  # nobody may remove the snapshot, or the sweeps to learn from, meanwhile
        past_trials(search)
        return _write_record(search, overrides=overrides)


def _write_record(search: Search, *, overrides: list[str]) -> Record:
    job = search.job
    source, search_json = capture_source(job), search.to_json()
    same = {key: value for key, value in job.script.parameters.items() if f"script.arguments.{key}" not in search.space}
    more = {"parameters": same, "arguments": None, "sweep": describe_sweep(search)}
    with new_folder(job) as folder:
        record = Record(folder)
        write_json(record.layout.sweep, search_json)
        write_sources(record, {source_key(job): source}, sync=False)  # the trials run what was submitted
        return write_run_record(job, source, folder=folder, overrides=overrides, more=more)


def describe_sweep(search: Search) -> dict[str, Any]:
    """The sampler, the goal and the space of a sweep, for run.json and --dry-run."""
    sweep = search.sweep
    description = {
        "sampler": sweep.sampler,
        "primary_metric": sweep.primary_metric,
        "goal": [goal.value for goal in sweep.goals] if len(sweep.metrics) > 1 else sweep.goals[0].value,
        "points": search.points,
        "max_total_runs": search.total,
        "seed": sweep.seed,
    }
    warm = {"warm_start": sweep.warm_start} if sweep.warm_start else {}
    return {**description, **warm, "search_space": search.space.describe()}


def dry_run_sweep(search: Search) -> dict[str, Any]:
    """The parsed space, the first trials, and the request of the first; nothing is written or started."""
    search = with_full_ids(search)
    check_search(search)
    sweep = search.sweep
    first = list(first_trials(sweep, search.space, SHOWN_FIRST, warm_start=lambda: past_trials(search)))
    trials_key = "first_trials" if sweep.is_grid or sweep.seed is not None else "trials_such_as"
    job, _ = search.trial(first[0].values)
    return {
        "sweep": describe_sweep(search),
        trials_key: [trial.values for trial in first],
        "request": dry_run(replace(job, model=search.job.model, deployment=search.job.deployment)),
    }
