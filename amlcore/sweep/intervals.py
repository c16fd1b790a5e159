"""The Intervals of a trial: its logs of the judged metric, as numbered by its newest attempt."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import Any

from amlcore.worker.metrics import attempt_of


class Intervals:
    """Numbers the intervals of one trial, from 1.

    A new attempt starts again at 1, since its script does. If the script resumes from a checkpoint, it logs the step
    at which it resumes: what was logged before at smaller steps still counts.
    """

    def __init__(self, metric: str | None) -> None:
        self._metric = metric
        self._attempt = 1
        self._steps: list[int | None] = []

    def take(self, records: Iterable[dict[str, Any]]) -> Iterator[tuple[int, float]]:
        """Each judged value among `records`, with its interval; later intervals of an earlier attempt are dropped."""
        for record in records:
            attempt = attempt_of(record)
            if record["name"] != self._metric or attempt < self._attempt:
                continue
            value = as_float(record["value"])
            if math.isnan(value):
                continue
            if attempt > self._attempt:
                self._attempt = attempt
                self._steps = _before(record["step"], self._steps)
            self._steps.append(record["step"])
            yield len(self._steps), value

    def history(self, records: Iterable[dict[str, Any]]) -> list[float]:
        """The values that count, by interval."""
        values: list[float] = []
        for interval, value in self.take(records):
            values[interval - 1 :] = [value]
        return values


def as_float(value: Any) -> float:
    """A logged value as a float: too large an integer is infinite, anything but a number is NaN."""
    if not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _before(step: int | None, steps: list[int | None]) -> list[int | None]:
    if step is None:
        return []
    return list(takewhile(lambda earlier: earlier is not None and earlier < step, steps))
