"""Forests by scikit-learn's own trees, without its overhead for each of them: for many rows at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from .ensembles import FORESTS
from .path import METHODS, Scorer
from .splits import thresholds
from .unchecked import UncheckedScorer


def forest(estimator: Any, unchecked: UncheckedScorer) -> Scorer | None:  # noqa: ARG001 - it handles every row
    """A scorer for averages of trees with one output."""
    kind = type(estimator)
    if kind.__name__ not in FORESTS or not kind.__module__.startswith("sklearn.ensemble."):
        return None
    return Forest(estimator) if estimator.n_outputs_ == 1 else None


class Forest(Scorer):
    """Adds the trees in scikit-learn's order, so that every bit is the same."""

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self._trees = [one.tree_ for one in estimator.estimators_]
        self._classes = getattr(estimator, "classes_", None)
        self.methods = frozenset(METHODS if self._classes is not None else METHODS[:1])

    def score(self, method: str, matrix: Any) -> Any:
        rows = matrix.astype(np.float32)
        total = np.zeros((len(rows), 1 if self._classes is None else len(self._classes)))
        for tree in self._trees:
            total += tree.predict(rows)
        total /= len(self._trees)
        if self._classes is None:
            return total[:, 0]
        return total if method == "predict_proba" else self._classes.take(total.argmax(axis=1), axis=0)

    def thresholds(self) -> dict[int, Any]:
        return thresholds(self._estimator)
