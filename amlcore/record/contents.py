"""What the files of a run hold, and which of them are damaged; each is read once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import TypeVar

from amlcore.errors import NotFoundError, RecordError, UnreadableError
from amlcore.record.documents import ModelSample, OutputFile, Pruned, RunEnvironment, RunInfo
from amlcore.record.marks import Marks, read_marks
from amlcore.record.reading import (
    appended_lines,
    damaged_line,
    read_document,
    read_mapping,
    read_text,
    read_yaml,
    unreadable_error,
)
from amlcore.record.record import Record
from amlcore.record.series import LoggedSeries, read_series
from amlcore.record.status import RunStatus
from amlcore.worker.metrics import metric_files

T = TypeVar("T")


class RecordContents:
    """What the files of a run hold at this moment.

    Parameters
    ----------
    thorough : bool
        Read long files to their ends too: the metrics, the configuration, a sweep's study.
    status : RunStatus, optional
        What state.json holds, if it was read already.

    Attributes
    ----------
    info, status, environment, outputs, model, marks, pruned
        As the record has them; None or empty if the file is damaged, or only its owner may read it.
    series : LoggedSeries or None
        What the run logged; None unless `thorough`.
    damages : list of str
        A line for each file that is not what was written, with its path.

    Raises
    ------
    NotFoundError
        The folder holds no run.
    UnreadableError
        The run belongs to another user, who lets nobody else read it.
    """

    def __init__(self, record: Record, *, thorough: bool, status: RunStatus | None = None) -> None:
        self._record = record
        self.damages: list[str] = []
        self.info: RunInfo | None = self._read_info()
        self.status: RunStatus | None = status or self._read(lambda: record.status)
        self.environment: RunEnvironment | None = self._read(lambda: record.environment)
        self.model: str | None = self._read(self._last_model)
        self.marks: Marks = self._read(lambda: read_marks(record.folder)) or Marks()
        self.pruned: Pruned = self._read(lambda: record.pruned) or Pruned()
        self.outputs: list[OutputFile] = self._read(lambda: record.outputs_without(self.pruned)) or []
        self.series: LoggedSeries | None = None
        self._check_short_files()
        if thorough:
            self._read_long_files()
        elif os.path.exists(record.layout.config):  # a submitted run has both from its beginning
            self._read(lambda: read_text(record.layout.config))
            self._read(lambda: read_text(record.layout.overrides))

    def _read_info(self) -> RunInfo | None:
        try:
            return self._record.info
        except UnreadableError:
            raise
        except RecordError as error:
            self.damages.append(str(error))
            return None

    def _read(self, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except UnreadableError:  # such as the request, which holds secrets
            return None
        except (RecordError, NotFoundError) as error:
            self.damages.append(str(error))
            return None
        except OSError as error:  # such as a file in the place of a folder
            self.damages.append(f"{error.filename} cannot be read: {error.strerror}")
            return None

    def _check_short_files(self) -> None:
        record, layout = self._record, self._record.layout
        self._read(lambda: record.request)
        self._read(lambda: record.cancel_request)
        self._read(lambda: record.queue_entry)
        self._read(lambda: record.driver)
        self._read(lambda: record.claim)
        self._read(lambda: record.result)
        self._read(lambda: read_mapping(layout.sources))
        self._read(lambda: read_document(layout.sample, ModelSample))
        self._read(self._check_metrics_begun)

    def _read_long_files(self) -> None:
        layout = self._record.layout
        self._read(lambda: self._record.lock_of(self.environment))
        self._read(lambda: read_yaml(layout.config, dict))
        self._read(lambda: read_yaml(layout.overrides, list))
        self._read(lambda: _check_lines(layout.study))
        self._read(lambda: read_mapping(layout.sweep))
        self.series = self._read(lambda: read_series(layout.metrics)) or LoggedSeries()
        if self._has_ended:  # until then a line may be half written
            for path, line in self.series.damaged_lines.items():
                message = f"{path} is damaged: line {line} is not what was logged; the other lines are used"
                self.damages.append(message)

    @property
    def _has_ended(self) -> bool:
        return self.status is not None and self.status.state.ended

    def _last_model(self) -> str | None:
        """The last model registered from the run, even if another line of the file is damaged."""
        path = self._record.layout.models
        try:
            lines = appended_lines(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unreadable_error(path, error) from None
        self._read(lambda: _check_whole(path, damaged_line(lines, required="model"), is_empty=not lines))
        try:
            return str(json.loads(lines[-1])["model"])
        except (ValueError, LookupError, TypeError):
            return None

    def _check_metrics_begun(self) -> None:
        """A file of metrics is created with its first line, so an empty one has lost it once the run has ended."""
        if not self._has_ended:
            return
        folder = self._record.layout.metrics
        for name in metric_files(folder):
            path = os.path.join(folder, name)
            if os.path.getsize(path) == 0:
                raise RecordError(f"{path} is damaged: it is empty")


def inspect_record(record: Record) -> list[str]:
    """A line for each file of the run that is damaged; long files are read to their ends."""
    try:
        return RecordContents(record, thorough=True).damages
    except UnreadableError:
        raise
    except NotFoundError as error:
        return [str(error)]


def _check_lines(path: str) -> None:
    try:
        with open(path, "rb") as lines:
            line = damaged_line(lines)
            is_empty = os.fstat(lines.fileno()).st_size == 0
    except FileNotFoundError:
        return
    except OSError as error:
        raise unreadable_error(path, error) from None
    _check_whole(path, line, is_empty=is_empty)


def _check_whole(path: str, line: int | None, *, is_empty: bool) -> None:
    if is_empty:
        raise RecordError(f"{path} is damaged: it is empty")
    if line is not None:
        raise RecordError(f"{path} is damaged: line {line} is not what was written")
