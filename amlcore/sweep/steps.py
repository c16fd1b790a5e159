"""Steps: evenly spaced numbers, computed when they are needed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, overload

from amlcore.errors import ConfigError


@dataclass(frozen=True)
class Steps(Sequence[Any]):
    """`length` numbers from `start` on: integers if start and step are, else computed in decimals."""

    start: int | float
    step: int | float
    length: int

    @classmethod
    def before(cls, start: float, stop: float, step: float) -> Steps:
        """The numbers from `start` in steps towards `stop`, which is excluded, as in Python's range."""
        if not step:
            raise ConfigError("the step must not be 0")
        whole, rest = _divided(start, stop, step)
        return cls(start, step, max(0, whole + (rest > 0)))

    @classmethod
    def through(cls, low: float, high: float, step: float) -> Steps:
        """The numbers from `low` to `high`, both included."""
        return cls(low, step, 1 + _divided(low, high, step)[0])

    @property
    def whole(self) -> bool:
        return isinstance(self.start, int) and isinstance(self.step, int)

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self.length))]
        if not -self.length <= index < self.length:
            raise IndexError(index)
        steps = index % self.length
        if self.whole:
            return self.start + steps * self.step
        return float(Decimal(str(self.start)) + steps * Decimal(str(self.step))) + 0.0  # -0.0 is 0.0

    def index(self, value: Any, *_: int) -> int:
        """The index of `value`; raises ValueError if it is not one of the numbers."""
        is_number = isinstance(value, int if self.whole else (int, float)) and not isinstance(value, bool)
        if is_number and self.length and (number := Decimal(str(value))).is_finite():
            nearest = round((number - Decimal(str(self.start))) / Decimal(str(self.step)))
            if 0 <= nearest < self.length and self[nearest] == value:
                return nearest
        raise ValueError(f"{value!r} is not one of {self}")

    def __contains__(self, value: object) -> bool:
        try:
            self.index(value)
        except ValueError:
            return False
        return True

    def __str__(self) -> str:
        if self.length < 4:
            return ", ".join(map(str, self))
        return f"{self[0]}, {self[1]}, …, {self[-1]}"


def last_number(start: float, end: float, step: float) -> Decimal:
    """The last number that the steps reach; in decimals, so that 3 * 0.1 is 0.3."""
    return Decimal(str(start)) + _divided(start, end, step)[0] * Decimal(str(step))


def on_step(value: float, *, first: float, step: float) -> float:
    """The step nearest to `value`, without the noise of binary fractions."""
    return float(Decimal(str(first)) + round((value - first) / step) * Decimal(str(step))) + 0.0


def rounded(value: float, quantum: float) -> float:
    """The nearest multiple of `quantum`; in decimals, so that 3 * 0.1 is 0.3."""
    steps = round(value / quantum)
    # A script that expects an integer does not accept 4.0.
    return quantum * steps if isinstance(quantum, int) else float(Decimal(str(quantum)) * steps)


def _divided(start: float, end: float, step: float) -> tuple[int, Decimal]:
    """The number of whole steps from `start` to `end`, and the part of a step that remains."""
    first, last, by = (Decimal(str(number)) for number in (start, end, step))
    if not all(number.is_finite() for number in (first, last, by)):
        raise ConfigError("the numbers of a range must be finite")
    if abs((last - first) / by) >= sys.maxsize:
        raise ConfigError("the range has too many steps; use interval(a,b), which has none")
    whole, rest = divmod(last - first, by)
    return int(whole), rest / by
