"""PredictPath: turns rows into a matrix of numbers, and the matrix into answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..errors import NotHandled

if TYPE_CHECKING:
    from .preparation import Preparation

METHODS = ("predict", "predict_proba")
MAX_EXACT_FLOAT = 2.0**53
"""Beyond it float64 lacks some integers."""

HUGE = 1e38
"""Beyond it a number may not fit scikit-learn's float32; the model itself then refuses it."""


Alone = Callable[[list[float]], Any]
"""Answers one row of plain numbers; returns None to leave the row to the scorer's arrays."""


class Scorer(Protocol):
    """The last step of a model, on a matrix (n_rows, n_features) of float64 without infinities."""

    methods: frozenset[str]

    def score(self, method: str, matrix: Any) -> Any: ...

    def alone(self, method: str) -> Alone | None:  # noqa: ARG002 - most scorers have none
        """A faster way for one row than `score`: each numpy call takes a microsecond, however small."""
        return None

    def thresholds(self) -> dict[int, Any]:
        """By column, the numbers at which the answer may jump."""
        return {}


@dataclass(frozen=True)
class PredictPath:
    """One way from encoded rows to the answer of the model's own method."""

    name: str
    preparation: Preparation
    scorer: Scorer
    takes_gaps: bool
    """Whether the last step accepts missing values."""

    @property
    def methods(self) -> frozenset[str]:
        return self.scorer.methods

    def score(self, method: str, matrix: Any) -> Any:
        """The answers to the rows of `matrix`, (n_rows, n_columns) float64, as `RowEncoder` encodes them.

        Raises
        ------
        NotHandled
            Only the model itself can answer.
        """
        return self.scorer.score(method, self.prepare(matrix))

    def alone(self, method: str) -> Alone | None:
        """The scorer's, if a row needs no preparation."""
        return None if self.preparation.steps else self.scorer.alone(method)

    def prepare(self, matrix: Any) -> Any:
        """The input of the last step; raises NotHandled as `score` does."""
        prepared = self.preparation(matrix)
        if not is_tame(prepared) and not self._is_taken(prepared):
            raise NotHandled
        return prepared

    def _is_taken(self, prepared: Any) -> bool:
        if (np.abs(prepared) >= HUGE).any():
            return False
        return self.takes_gaps or not np.isnan(prepared).any()


def is_tame(matrix: Any, limit: float = HUGE) -> bool:
    """Whether all numbers are finite and below `limit`, by one dot product instead of a test for each."""
    flat = matrix.ravel()
    return bool(flat.dot(flat) < limit * limit)
