"""Labels from scores, where the first among near equals is left to the model."""

from __future__ import annotations

from typing import Any

import numpy as np

CLOSE = 1e-9
"""Scores nearer than this, relative to the larger, could be the other way round in the model's own arithmetic."""

CLOSE_SINGLE = 1e-4
"""The same of scores in float32."""


def best(scores: Any, ask: Any) -> Any:
    """The position of the highest score in each row; `ask` gives those of the rows whose highest are too close."""
    margin = CLOSE if scores.dtype == np.float64 else CLOSE_SINGLE
    if len(scores) == 1 and margin == CLOSE:
        place = first(scores[0].tolist())
        return np.array([place]) if place is not None else ask(np.array([0]))
    turned = np.ascontiguousarray(scores.T)  # numpy compares long rows much faster than many short ones
    found, highest = turned.argmax(axis=0), turned.max(axis=0)
    doubtful = (turned >= highest - margin * np.maximum(np.abs(highest), 1e-6)).sum(axis=0) > 1
    if doubtful.any():
        rows = np.flatnonzero(doubtful)
        found[rows] = ask(rows)
    return found


def first(scores: list[float]) -> int | None:
    """The position of the highest; None where another is too close."""
    highest = max(scores)
    margin = highest - CLOSE * max(abs(highest), 1e-6)
    close = [score for score in scores if score >= margin]
    return scores.index(highest) if len(close) == 1 else None


def positions(labels: Any, classes: Any) -> Any:
    """Where in `classes` each of `labels` stands; `classes` are sorted, as scikit-learn keeps them."""
    return np.searchsorted(classes, labels)
