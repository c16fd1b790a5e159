"""Labels from scores; the model itself decides between scores that are too close."""

from __future__ import annotations

from typing import Any

import numpy as np

CLOSE = 1e-9
"""Scores closer than this, relative to the larger, could swap in the model's own arithmetic."""

CLOSE_SINGLE = 1e-4
"""The same for float32 scores."""


def best(scores: Any, ask: Any) -> Any:
    """The position of the highest score in each row, (n_rows,) int.

    scores: (n_rows, n_classes) float. `ask` returns the positions for the rows whose highest scores are too close.
    """
    margin = CLOSE if scores.dtype == np.float64 else CLOSE_SINGLE
    if len(scores) == 1 and margin == CLOSE:
        place = first(scores[0].tolist())
        return np.array([place]) if place is not None else ask(np.array([0]))
    by_class = np.ascontiguousarray(scores.T)  # numpy reduces a few long rows much faster than many short ones
    places, highest = by_class.argmax(axis=0), by_class.max(axis=0)
    doubtful = (by_class >= highest - margin * np.maximum(np.abs(highest), 1e-6)).sum(axis=0) > 1
    if doubtful.any():
        rows = np.flatnonzero(doubtful)
        places[rows] = ask(rows)
    return places


def first(scores: list[float]) -> int | None:
    """The position of the highest score; None if another is too close."""
    highest = max(scores)
    margin = highest - CLOSE * max(abs(highest), 1e-6)
    close = [score for score in scores if score >= margin]
    return scores.index(highest) if len(close) == 1 else None


def positions(labels: Any, classes: Any) -> Any:
    """The position of each of `labels` in `classes`, which scikit-learn keeps sorted."""
    return np.searchsorted(classes, labels)
