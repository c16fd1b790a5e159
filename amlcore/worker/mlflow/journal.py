"""What only MLflow knows of a run, such as its models and datasets: JSON lines, a file for each process that writes."""

import json
import os
import time

from amlcore.worker.metrics import attempt_of, metric_files, time_order

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401


def new_entry(kind, attempt=None, **fields):
    # type: (str, int | None, object) -> dict[str, object]
    """What is written now; the attempt is omitted if it is the first."""
    entry = dict({"kind": kind, "at": time.time()}, **fields)
    if attempt is not None and attempt > 1:
        entry["attempt"] = attempt
    return entry


def read_entries(folder):
    # type: (str) -> list[dict[str, typing.Any]]
    """All entries in `folder`, in order of time; a line that is not whole is left out."""
    entries = []
    for name in metric_files(folder):
        try:
            with open(os.path.join(folder, name), "rb") as lines:
                entries += [entry for entry in map(_parsed, lines) if entry is not None]
        except FileNotFoundError:
            continue
    return sorted(entries, key=time_order)


def _parsed(line):
    # type: (bytes) -> dict[str, typing.Any] | None
    try:
        entry = json.loads(line.decode("utf-8"))
    except ValueError:
        return None
    is_entry = isinstance(entry, dict) and isinstance(entry.get("at"), (int, float)) and "kind" in entry
    return entry if is_entry and isinstance(attempt_of(entry), int) else None
