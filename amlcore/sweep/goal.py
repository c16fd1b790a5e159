"""The Goal: whether the primary metric is maximized or minimized."""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum


class Goal(StrEnum):
    """The names are Azure ML's."""

    maximize = "maximize"
    minimize = "minimize"

    @property
    def sign(self) -> int:
        """The factor that makes a higher value a better one."""
        return 1 if self is Goal.maximize else -1

    @property
    def worst(self) -> float:
        return -self.sign * math.inf

    def better(self, one: float, other: float) -> bool:
        return self.sign * one > self.sign * other

    def best(self, values: Iterable[float]) -> float:
        return max(values) if self is Goal.maximize else min(values)
