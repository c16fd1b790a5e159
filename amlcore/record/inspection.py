"""What of a run's record is damaged: each of its files read once, as whoever needs it would read it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from amlcore.errors import NotFoundError, RecordError, UnreadableError
from amlcore.record.reading import damaged_line, read_mapping, read_text, read_yaml, unreadable
from amlcore.record.record import Record
from amlcore.worker.metrics import find_damage


def inspect_record(record: Record, *, thorough: bool = True) -> list[str]:
    """One line for each file of the run that is not what was written, with the file's path.

    Parameters
    ----------
    thorough : bool
        Whether long files are read to their ends: the metrics, the configuration and a sweep's study.
    """
    found = []
    _check_allowed(record)
    for look in (*_short(record), *(_long(record) if thorough else ())):
        try:
            look()
        except UnreadableError:  # such as what only the owner of a run may see
            continue
        except (RecordError, NotFoundError) as error:
            found.append(str(error))
    return found


def _check_allowed(record: Record) -> None:
    """Raises UnreadableError where the run is another user's, who lets nobody else read it."""
    try:
        _ = record.info
    except UnreadableError:
        raise
    except (RecordError, NotFoundError):
        pass


def _short(record: Record) -> Iterator[Callable[[], object]]:
    layout = record.layout
    yield lambda: record.info
    yield lambda: record.status
    yield lambda: (record.environment, record.request, record.outputs)
    yield lambda: (record.cancel_request, record.queue_entry, record.driver)
    yield lambda: (record.claim, record.result)
    yield lambda: read_mapping(layout.sources)
    yield lambda: _lines(layout.models, required="model")
    yield lambda: _begun_metrics(record)
    yield lambda: read_mapping(layout.sample, {"rows": list})
    if os.path.exists(layout.config):  # what was submitted has these from its beginning
        yield lambda: (read_text(layout.config), read_text(layout.overrides))


def _long(record: Record) -> Iterator[Callable[[], object]]:
    layout = record.layout
    yield lambda: record.lock
    yield lambda: read_yaml(layout.config, dict)
    yield lambda: read_yaml(layout.overrides, list)
    if os.path.isdir(layout.metrics):
        yield lambda: _metrics(record)
    yield lambda: _lines(layout.study)
    yield lambda: read_mapping(layout.sweep)


def _begun_metrics(record: Record) -> None:
    """A file of metrics is made with its first line: one that is empty once the run has ended has lost it."""
    if not record.has_ended():
        return
    for name in _names(record.layout.metrics):
        path = os.path.join(record.layout.metrics, name)
        if os.path.getsize(path) == 0:
            raise RecordError(f"{path} is damaged: it is empty")


def _metrics(record: Record) -> None:
    if not record.has_ended():  # a line may be being written
        return
    for name in _names(record.layout.metrics):
        path = os.path.join(record.layout.metrics, name)
        line = find_damage(path)
        if line is not None:
            raise RecordError(f"{path} is damaged: line {line} is not what was logged; the other lines still count")


def _names(folder: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(".jsonl"))
    except OSError:
        return []


def _lines(path: str, required: str | None = None) -> None:
    try:
        with open(path, "rb") as lines:
            line = damaged_line(lines, required=required)
            size = os.fstat(lines.fileno()).st_size
    except FileNotFoundError:
        return
    except OSError as error:
        raise unreadable(path, error) from None
    if size == 0:
        raise RecordError(f"{path} is damaged: it is empty")
    if line is not None:
        raise RecordError(f"{path} is damaged: line {line} is not what was written")
