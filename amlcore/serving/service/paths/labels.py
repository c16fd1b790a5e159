"""Labels from scores, where the first among near equals is left to the model."""

from __future__ import annotations

from typing import Any

import numpy as np

CLOSE = 1e-9
"""Scores nearer than this, relative to the larger, could be the other way round in the model's own arithmetic."""


def best(scores: Any, ask: Any) -> Any:
    """The position of the highest score in each row; `ask` gives those of the rows whose highest are too close."""
    if len(scores) == 1:
        row = scores[0].tolist()
        first = max(row)
        margin = first - CLOSE * max(abs(first), 1e-6)
        close = [score for score in row if score >= margin]
        return np.array([row.index(first)]) if len(close) == 1 else ask(np.array([0]))
    found = scores.argmax(axis=1)
    first = scores.max(axis=1, keepdims=True)
    doubtful = (scores >= first - CLOSE * np.maximum(np.abs(first), 1e-6)).sum(axis=1) > 1
    if doubtful.any():
        rows = np.flatnonzero(doubtful)
        found[rows] = ask(rows)
    return found


def positions(labels: Any, classes: Any) -> Any:
    """Where in `classes` each of `labels` stands; `classes` are sorted, as scikit-learn keeps them."""
    return np.searchsorted(classes, labels)
