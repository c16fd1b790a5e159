"""What a sweep writes to its outputs/: a table of its trials, the importances of its parameters, plots."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from amlcore.config import Search
from amlcore.execution import background
from amlcore.execution.past_sweeps import load_search
from amlcore.record.documents import Claim
from amlcore.record.reading import read_document
from amlcore.record.record import Record
from amlcore.runs.outputs import list_outputs
from amlcore.sweep.pareto import ParetoFront
from amlcore.sweep.study import Trial
from amlcore.worker.files import write_json, write_text
from amlcore.worker.values import text

NICENESS = 10


def columns(trials: Sequence[Trial], metrics: Sequence[str], *, sweep: str) -> dict[str, list[Any]]:
    """The trials of a sweep as columns: their runs, what they reached, and their values."""
    keys = dict.fromkeys(key for trial in trials for key in trial.values)
    reached = [trial.reached or (None,) * len(metrics) for trial in trials]
    return {
        "run": [f"{sweep}_{trial.number}" for trial in trials],
        **{metric: [values[index] for values in reached] for index, metric in enumerate(metrics)},
        **{key: [trial.values.get(key) for trial in trials] for key in keys},
    }


def write_table(record: Record, trials: Sequence[Trial], metrics: Sequence[str], front: ParetoFront) -> None:
    """Write all trials to trials.csv, in the order of the table on the terminal."""
    ranked = sorted(trials, key=front.order)
    table = columns(ranked, metrics, sweep=record.folder.name)
    for key in dict.fromkeys(key for trial in ranked for key in trial.values):
        table[key] = [text(trial.values[key]) if key in trial.values else None for trial in ranked]
    table["state"] = [trial.state.value for trial in ranked]
    if len(metrics) > 1:
        table["front"] = [trial in front for trial in ranked]
    table["reason"] = [trial.reason for trial in ranked]
    outputs = Path(record.layout.outputs)
    outputs.mkdir(exist_ok=True)
    stream = StringIO()
    writer = csv.writer(stream)
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    write_text(str(outputs / "trials.csv"), stream.getvalue())
    list_outputs(record)


def is_worth_plots(search: Search, trials: Sequence[Trial]) -> bool:
    from amlcore.sweep.plots import LEAST

    return search.sweep.plots and sum(bool(trial.reached) for trial in trials) >= LEAST


def draw_in_background(record: Record) -> None:
    """Draw the plots in a separate process: it takes some seconds, and nobody should wait for it."""
    background.start("_plot", record)


def draw(folder: Path) -> None:
    """Draw the plots of the sweep in `folder`; a plot that fails is logged and affects no other."""
    os.nice(NICENESS)
    from amlcore.sweep import plots
    from amlcore.sweep.read_only_study import load_read_only

    record = Record(folder)
    search = load_search(record)
    metrics, goals = search.sweep.metrics, search.sweep.goals
    outputs = Path(record.layout.outputs)
    study = load_read_only(Path(record.layout.study), search.space, metrics)
    try:
        write_json(str(outputs / "importances.json"), plots.importances(study, metrics, goals))
    except Exception as error:  # Optuna's evaluators raise anything; the plots do not need this file
        _log(f"warning: importances.json was not written: {error}")
    spans = {number: span for number in range(len(study.trials)) if (span := _span(record.child(number)))}
    plots.draw(study, metrics, goals, spans=spans, title=f"sweep {folder.name}", folder=outputs / "plots", log=_log)
    list_outputs(record)


def _span(record: Record) -> tuple[float, float] | None:
    """When a trial had its slot: start and end in seconds since the epoch; None if it never had one."""
    first = read_document(record.layout.attempt(1).claim, Claim)
    if first is None:
        return None
    result = record.result
    ended = record.status.at if result is None or result.ended is None else result.ended
    return first.at, max(ended, first.at)


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
