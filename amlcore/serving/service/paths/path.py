"""Path: rows become a matrix of numbers, and a matrix becomes answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..rows import Refused

if TYPE_CHECKING:
    from .preparation import Preparation

METHODS = ("predict", "predict_proba")
HUGE = 1e38
"""Beyond this a number may not fit scikit-learn's float32, and the model itself shall say so."""


class Scorer(Protocol):
    """The last step of a model on a matrix of float64 without infinities."""

    methods: frozenset[str]

    def score(self, method: str, matrix: Any) -> Any: ...

    def thresholds(self) -> dict[int, Any]:
        """The numbers by column where the answer may change at once."""
        return {}


@dataclass(frozen=True)
class Path:
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
        Refused
            The model itself must be asked.
        """
        return self.scorer.score(method, self.prepare(matrix))

    def prepare(self, matrix: Any) -> Any:
        """What the last step is given; raises Refused as `score` does."""
        prepared = self.preparation(matrix)
        if not is_tame(prepared) and not self._is_taken(prepared):
            raise Refused
        return prepared

    def _is_taken(self, prepared: Any) -> bool:
        if (np.abs(prepared) >= HUGE).any():
            return False
        return self.takes_gaps or not np.isnan(prepared).any()


def is_tame(matrix: Any) -> bool:
    """Whether all numbers are finite and far from the limits of float32, by one product instead of a look at each."""
    flat = matrix.ravel()
    return bool(flat.dot(flat) < HUGE * HUGE)
