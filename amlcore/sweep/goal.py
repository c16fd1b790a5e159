"""The Goal: what is done with the primary metric."""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum


class Goal(StrEnum):
    """By Azure ML's names."""

    maximize = "maximize"
    minimize = "minimize"

    @property
    def sign(self) -> int:
        """What a value is multiplied by so that more is better."""
        return 1 if self is Goal.maximize else -1

    @property
    def worst(self) -> float:
        return -self.sign * math.inf

    def better(self, one: float, other: float) -> bool:
        return self.sign * one > self.sign * other

    def best(self, values: Iterable[float]) -> float:
        return max(values) if self is Goal.maximize else min(values)
