"""Splits: the thresholds of the trees of an ensemble."""

from __future__ import annotations

from typing import Any

import numpy as np


def thresholds(estimator: Any) -> dict[int, Any]:
    """By column, the sorted numbers at which the trees of an ensemble split, (n_thresholds,) float64."""
    points: dict[int, list[float]] = {}
    for tree in _nodes(estimator):
        for column, threshold in tree:
            points.setdefault(column, []).append(threshold)
    return {column: np.unique(numbers) for column, numbers in points.items()}


def _nodes(estimator: Any) -> Any:
    """The numeric splits of each tree, as pairs of column and threshold."""
    if hasattr(estimator, "_predictors"):
        for iteration in estimator._predictors:
            for predictor in iteration:
                nodes = predictor.nodes[(predictor.nodes["is_leaf"] == 0) & (predictor.nodes["is_categorical"] == 0)]
                yield zip(nodes["feature_idx"].tolist(), nodes["num_threshold"].tolist())
        return
    for one in np.asarray(estimator.estimators_, dtype=object).ravel():
        splits = one.tree_.feature >= 0
        yield zip(one.tree_.feature[splits].tolist(), one.tree_.threshold[splits].tolist())
