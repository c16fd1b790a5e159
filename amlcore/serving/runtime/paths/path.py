"""Path: rows become a matrix of numbers, and a matrix becomes answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..errors import NotHandled

if TYPE_CHECKING:
    from .preparation import Preparation

METHODS = ("predict", "predict_proba")
EXACT = 2.0**53
"""Beyond this float64 does not have each integer."""

HUGE = 1e38
"""Beyond this a number may not fit scikit-learn's float32, and the model itself shall say so."""


Alone = Callable[[list[float]], Any]
"""Answers one row of plain numbers; None where it leaves the row to the scorer's arrays."""


class Scorer(Protocol):
    """The last step of a model on a matrix of float64 without infinities."""

    methods: frozenset[str]

    def score(self, method: str, matrix: Any) -> Any: ...

    def alone(self, method: str) -> Alone | None:  # noqa: ARG002 - most have none
        """What is faster with one row than `score` is: numpy takes a microsecond for each call, however small."""
        return None

    def thresholds(self) -> dict[int, Any]:
        """The numbers by column where the answer may change at once."""
        return {}


@dataclass(frozen=True)
class PredictPath:
    """One way from coded rows to what the model's own method would answer."""

    name: str
    preparation: Preparation
    scorer: Scorer
    takes_gaps: bool
    """Whether the last step takes missing values."""

    @property
    def methods(self) -> frozenset[str]:
        return self.scorer.methods

    def score(self, method: str, matrix: Any) -> Any:
        """The answers to rows as `Preparation.reader` codes them.

        Raises
        ------
        NotHandled
            The model itself must be asked.
        """
        return self.scorer.score(method, self.prepare(matrix))

    def alone(self, method: str) -> Alone | None:
        """As the scorer's, where a row needs no preparation."""
        return None if self.preparation.steps else self.scorer.alone(method)

    def prepare(self, matrix: Any) -> Any:
        """What the last step is given; raises NotHandled as `score` does."""
        prepared = self.preparation(matrix)
        if not is_tame(prepared) and not self._is_taken(prepared):
            raise NotHandled
        return prepared

    def _is_taken(self, prepared: Any) -> bool:
        if (np.abs(prepared) >= HUGE).any():
            return False
        return self.takes_gaps or not np.isnan(prepared).any()


def is_tame(matrix: Any, limit: float = HUGE) -> bool:
    """Whether all numbers are finite and below `limit`, by one product instead of a look at each."""
    flat = matrix.ravel()
    return bool(flat.dot(flat) < limit * limit)
