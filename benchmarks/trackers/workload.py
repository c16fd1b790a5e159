"""What each tracker records, lists and filters in `make bench-tracking`; the standard library alone."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

STEPS = 10
SHOWN = 100
DEPTH, BEST = 3, 0.9
"""The filter: the runs with this depth and an accuracy above BEST, the highest first."""

Search = Callable[[], Sequence[float]]
"""The last accuracies of the runs that a tracker lists."""


@dataclass(frozen=True)
class ShortRun:
    """A run with two parameters and a short series, by its number."""

    number: int

    @property
    def parameters(self) -> dict[str, float]:
        return {"depth": self.number % 5, "rate": self.number % 7 / 100}

    @property
    def accuracies(self) -> Iterator[float]:
        last = self.number * 7919 % 10_000 / 10_000
        return (last * (step + 1) / STEPS for step in range(STEPS))


def main(*, record: Callable[[ShortRun], None], close: Callable[[], object], newest: Search, best: Search) -> None:
    """Do what the arguments say, `record FIRST COUNT`, `newest TIMES` or `best TIMES`, and print how long it took.

    Of the recorded runs the first is not timed: it creates what is created once.
    """
    verb, *numbers = sys.argv[1:]
    if verb == "record":
        first, count = map(int, numbers)
        record(ShortRun(first))
        begun = time.perf_counter()
        for number in range(first + 1, first + count):
            record(ShortRun(number))
        close()
        print(json.dumps({"run_s": (time.perf_counter() - begun) / (count - 1)}))
    else:
        print(json.dumps(_timed({"newest": newest, "best": best}[verb], int(numbers[0]))))


def _timed(search: Search, times: int) -> dict[str, object]:
    seconds: list[float] = []
    accuracies: Sequence[float] = []
    for _ in range(times):
        begun = time.perf_counter()
        accuracies = search()
        seconds.append(time.perf_counter() - begun)
    return {"seconds": seconds, "accuracies": list(accuracies)}
