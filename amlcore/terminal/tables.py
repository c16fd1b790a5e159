"""Tables for people; what programs read is --json."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from amlcore.record.record import strict
from amlcore.record.status import EARLY_TERMINATION
from amlcore.terminal.text_table import TextTable, cell, encodable
from amlcore.worker.values import text

if TYPE_CHECKING:
    from amlcore.housekeeping.disk_usage import DiskUsage
    from amlcore.housekeeping.prune import Prune
    from amlcore.sweep.pareto import ParetoFront
    from amlcore.sweep.study import Trial

SHOWN_METRICS = 4
SHOWN_TRIALS = 20
SHOWN_CHARACTERS = 120  # of a list or a table that was logged
STATE_STYLES = {"Completed": "green", "Failed": "red", "Canceled": "yellow"}
TRIAL_STYLES = {"COMPLETE": "green", "FAIL": "red", "PRUNED": "yellow", "CANCELED": "yellow", "RUNNING": "cyan"}


def runs(rows: list[dict[str, Any]]) -> None:
    wait_reasons = {run["id"]: run["reason"] for run in rows if run["state"] == "Queued" and run["reason"] is not None}
    rows = [{**run, "tags": _own_tags(run["tags"])} for run in rows]
    marked = [key for key in ("name", "tags") if any(run[key] for run in rows)]
    columns = ("run", *marked, "experiment", "state", "created", "seconds", "parameters", "metrics", "model")
    table = TextTable((*columns, *(["waits"] if wait_reasons else [])))
    for run in rows:
        table.add_row(
            run["id"],
            *(pairs(run[key]) if key == "tags" else run[key] or "" for key in marked),
            run["experiment"],
            _state(run),
            local_time(run["created"]),
            "" if run["duration_s"] is None else f"{run['duration_s']:.1f}",
            parameters(run["parameters"]),
            pairs(dict(list(run["metrics"].items())[:SHOWN_METRICS])),
            run["model"] or "",
            *([wait_reasons.get(run["id"], "")] if wait_reasons else []),
        )
    table.print()


def _own_tags(tags: dict[str, Any]) -> dict[str, Any]:
    """The tags that people and scripts chose; MLflow sets some by itself, such as mlflow.runName."""
    return {name: value for name, value in tags.items() if not name.startswith("mlflow.")}


def _state(run: dict[str, Any]) -> Text:
    """The state of a run; a trial that its sweep stopped early is not shown as one that somebody canceled."""
    pruned = run["state"] == "Canceled" and (run["reason"] or "").startswith(EARLY_TERMINATION)
    return Text("Pruned" if pruned else run["state"], style=STATE_STYLES.get(run["state"], "cyan"))


def models(rows: list[dict[str, Any]]) -> None:
    has_aliases = any(model["aliases"] for model in rows)
    table = TextTable(("model", *(["aliases"] if has_aliases else []), "framework", "run", "metrics", "created"))
    for model in rows:
        table.add_row(
            f"{model['name']}:{model['version']}",
            *([", ".join(model["aliases"])] if has_aliases else []),
            f"{model['framework'] or 'Damaged'} {model['framework_version'] or ''}",
            model["run"] or "",
            pairs(dict(list(model["metrics"].items())[:SHOWN_METRICS])),
            local_time(model["created"]),
        )
    table.print()


def environments(rows: list[dict[str, Any]]) -> None:
    table = TextTable(("environment", "python", "state", "MB", "last used", "key"))
    for item in rows:
        size = item["size_bytes"]
        table.add_row(
            ", ".join(item["names"]),
            item["python"] or "",
            item["state"],
            "" if size is None else f"{size / 1e6:.0f}",
            local_time(item["last_used"]) if item["last_used"] else "",
            item["key"] or "",
        )
    table.print()


def disk_usage(usage: DiskUsage, *, has_runs: bool) -> None:
    """Print what a workspace takes: by kind, by experiment and, if asked for, by run."""
    kinds = TextTable(("kind", "MB"))
    for kind, size in usage.kinds.items():
        kinds.add_row(kind, _mb(size))
    kinds.add_row("total", _mb(sum(usage.kinds.values())))
    kinds.print()
    if usage.experiments:
        print()
        experiments = TextTable(("experiment", "runs", "MB"))
        for row in usage.experiments:
            experiments.add_row(row["experiment"], str(row["runs"]), _mb(row["size_bytes"]))
        experiments.print()
    if has_runs and usage.runs:
        print()
        runs = TextTable(("run", "experiment", "MB", "of which"))
        for run in sorted(usage.runs, key=lambda run: run.size_bytes, reverse=True):
            largest = max(run.kinds.items(), key=lambda item: item[1])
            runs.add_row(run.id, run.experiment, _mb(run.size_bytes), f"{largest[0]} {_mb(largest[1])}")
        runs.print()


def prune(result: Prune) -> None:
    """Print what was pruned, or would be: a line for each run, and one for each store."""
    table = TextTable(("what", "", "MB"))
    for folder, sizes in result.parts.items():
        table.add_row(f"run {folder.name}", ", ".join(sizes), _mb(sum(sizes.values())))
    if result.removals:
        table.add_row("trash", f"{sum(len(one.runs) for one in result.removals)} runs", _mb(result.trash_bytes))
    if result.snapshots or result.snapshot_bytes:
        table.add_row("snapshots", str(result.snapshots), _mb(result.snapshot_bytes))
    for one in result.environments:
        table.add_row(f"environment {', '.join(one.names) or one.key}", one.python or "", _mb(one.size_bytes or 0))
    if table.rows:
        table.print()


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f}"


def details(facts: dict[str, Any]) -> None:
    """Print one fact a line; nested facts are indented, and empty ones are left out."""
    lines: list[Text] = []
    for key, value in facts.items():
        if value is False or value in (None, "", [], {}):
            continue
        if isinstance(value, (dict, list)):
            nested = _facts_of(key, value)
            lines += [Text(key, style="bold")] if nested else []
            lines += [cell(f"  {line}") for line in nested]
        else:
            fact = cell(local_time(value) if key == "created" else _value_text(value))
            lines.append(Text.assemble((key, "bold"), ": ", fact))
    lines = [encodable(line, sys.stdout) for line in lines]
    if sys.stdout.isatty():
        console = Console()
        for line in lines:
            console.print(line, soft_wrap=True)  # the terminal wraps, so that a path can be copied whole
    else:
        print("\n".join(line.plain for line in lines))


def _facts_of(key: str, value: dict[str, Any] | list[Any]) -> list[str]:
    if isinstance(value, dict):
        if key == "pruned":
            return [
                f"{part}: {_mb(item['size_bytes'])} MB, by {item['user']}, {local_time(item['at'])}"
                for part, item in value.items()
            ]
        is_times = key == "times"
        values = {name: _local_of(item) if is_times else item for name, item in value.items()}
        to_text = text if key == "parameters" else _value_text
        return [f"{name}: {to_text(item)}" for name, item in values.items() if item not in (None, "", [], {})]
    if key == "outputs":
        return [f"{item['path']}  {item['size']} bytes  sha256 {item['sha256']}" for item in value]
    if key == "series":  # `metrics` has the last values of the scalars
        series = [item for item in value if item["kind"] != "scalar"]
        return [f"{item['kind']} {item['name']}: {_value_text(item['value'])[:SHOWN_CHARACTERS]}" for item in series]
    return [_value_text(item) for item in value]


def trials(trials: list[Trial], *, metrics: Sequence[str], front: ParetoFront) -> None:
    """Print the trials of a sweep, best first; with several metrics the Pareto front first, and marked."""
    has_front = len(metrics) > 1
    keys = list(_all_values(trials))
    table = TextTable(
        ("trial", *(metrics or [""]), *short(dict.fromkeys(keys)), "state", *(["front"] if has_front else []))
    )
    for trial in sorted(trials, key=front.order)[:SHOWN_TRIALS]:
        reached = [_value_text(value) for value in trial.reached] or [_value_text(None)] * max(len(metrics), 1)
        values = [text(trial.values[key]) if key in trial.values else _value_text(None) for key in keys]
        state = Text(trial.state.lower(), style=TRIAL_STYLES[trial.state])
        mark = [("yes" if trial in front else "")] if has_front else []
        table.add_row(str(trial.number), *reached, *values, state, *mark)
    table.print()


def reached(trial: Trial, metrics: Sequence[str]) -> str:
    """The values of a trial in each metric, as text."""
    return ", ".join(f"{name}={value:.6g}" for name, value in zip(metrics, trial.reached, strict=False))


def short(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a trial, with script arguments by their short names."""
    return {key.removeprefix("script.arguments."): value for key, value in values.items()}


def _all_values(trials: list[Trial]) -> dict[str, Any]:
    return {key: value for trial in trials for key, value in trial.values.items()}


def parameters(values: dict[str, Any]) -> str:
    """Arguments by name, each as the script receives it."""
    return " ".join(f"{name}={text(value)}" for name, value in values.items())


def pairs(values: dict[str, Any]) -> str:
    return " ".join(f"{name}={_value_text(value)}" for name, value in values.items())


def _value_text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) and abs(value) < 1e6 else str(strict(value))


def _local_of(seconds: float) -> str:
    return local_time(datetime.fromtimestamp(seconds, UTC).isoformat())


def local_time(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M:%S}"
