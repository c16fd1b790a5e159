"""The series that a run logged, as they are shown: each file of metrics is read once, as a stream, and checked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from amlcore.worker.metrics import metric_files, parse_record, time_order

SHOWN_VALUES = 10000
"""About how many values of a series are shown; its file in the run's folder has them all."""

READ_WHOLE_BYTES = 5 << 20  # in a longer file only some lines are parsed to find damage
PARSED_EVERY = 100


@dataclass
class LoggedSeries:
    """What a run logged.

    Attributes
    ----------
    records : list
        In the order of time; a long series is thinned evenly and keeps its last value.
    thinned : dict
        The number of values of each name that `records` does not have in full.
    damaged_lines : dict
        The number of the first line that is not what was logged, by the path of its file.
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    last: list[dict[str, Any]] = field(default_factory=list)
    thinned: dict[str, int] = field(default_factory=dict)
    damaged_lines: dict[str, int] = field(default_factory=dict)


def read_series(folder: str, *, at_most: int = SHOWN_VALUES) -> LoggedSeries:
    """Read the files of metrics in `folder`, with about `at_most` values of each series of a file."""
    logged = LoggedSeries()
    counts: dict[str, int] = {}
    shown: dict[str, int] = {}
    for name in metric_files(folder):
        path = os.path.join(folder, name)
        with open(path, "rb") as lines:
            checked = _Checked(lines, is_long=os.fstat(lines.fileno()).st_size > READ_WHOLE_BYTES)
            for series in _split(checked, at_most):
                records = [record for record in map(parse_record, series.lines()) if record is not None]
                logged.records += records
                if records:
                    logged.last.append(records[-1])
                    of = records[-1]["name"]
                    counts[of] = counts.get(of, 0) + series.count
                    shown[of] = shown.get(of, 0) + len(records)
        if checked.damaged_line is not None:
            logged.damaged_lines[path] = checked.damaged_line
    logged.thinned = {name: count for name, count in counts.items() if count > shown[name]}
    logged.records.sort(key=time_order)
    logged.last.sort(key=time_order)
    return logged


class _Checked:
    """The lines of a file of metrics, and the number of the first one that is not a record."""

    def __init__(self, lines: Iterable[bytes], *, is_long: bool) -> None:
        self._lines = lines
        self._is_long = is_long
        self.damaged_line: int | None = None

    def __iter__(self) -> Iterator[bytes]:
        for number, line in enumerate(self._lines, 1):
            if self.damaged_line is None and not self._is_whole(number, line):
                self.damaged_line = number
            yield line

    def _is_whole(self, number: int, line: bytes) -> bool:
        if self._is_long and number % PARSED_EVERY:
            return line.startswith(b'{"kind": "') and line.endswith(b"}\n")
        return line.endswith(b"\n") and parse_record(line) is not None


class _Series:
    """The lines of one kind and name: each of the first ones, then every second, every fourth, and so on."""

    def __init__(self, at_most: int) -> None:
        self.count = 0
        self._at_most = at_most
        self._stride = 1
        self._chosen: list[bytes] = []
        self._last = b""

    def add(self, line: bytes) -> None:
        if self.count % self._stride == 0:
            self._chosen.append(line)
            if len(self._chosen) > self._at_most:
                self._chosen = self._chosen[::2]
                self._stride *= 2
        self.count += 1
        self._last = line

    def lines(self) -> list[bytes]:
        has_last = (self.count - 1) % self._stride == 0
        return self._chosen if has_last else [*self._chosen, self._last]


def _split(lines: Iterable[bytes], at_most: int) -> list[_Series]:
    """The series of one file; all its lines have the same text before the value."""
    series: dict[bytes, _Series] = {}
    for line in lines:
        start = line.partition(b', "value": ')[0]
        if start not in series:
            if parse_record(line) is None:
                continue
            series[start] = _Series(at_most)
        if line.endswith(b"}\n"):
            series[start].add(line)
    return list(series.values())
