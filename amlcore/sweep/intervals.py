"""The Intervals of a trial: what it has logged of what it is judged by, as its newest attempt counts it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import Any

from amlcore.worker.metrics import attempt_of


class Intervals:
    """Counts the intervals of one trial, from 1.

    An attempt begins anew, since its script does. One that goes on from a checkpoint logs the step where it does:
    what was logged before at smaller steps counts on.
    """

    def __init__(self, metric: str | None) -> None:
        self._metric = metric
        self._attempt = 1
        self._steps: list[int | None] = []

    def take(self, records: Iterable[dict[str, Any]]) -> Iterator[tuple[int, float]]:
        """Each number among `records` that the trial is judged by, with its interval; those behind it count no more."""
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
        """The values that count, the first interval first."""
        values: list[float] = []
        for interval, value in self.take(records):
            values[interval - 1 :] = [value]
        return values


def as_float(value: Any) -> float:
    """A logged value as a float: an integer past all floats is infinite, what is no number is NaN."""
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
