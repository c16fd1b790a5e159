"""Probabilities from scores, by the formulas of scikit-learn.

scores: (n_rows, n_classes) float64, one column for a binary classifier; probabilities: (n_rows, n_classes) float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit


def sigmoid(scores: Any) -> Any:
    positive = expit(scores)
    return np.concatenate((1 - positive, positive), axis=1)


def softmax_of_two(scores: Any) -> Any:
    return softmax(np.concatenate((-scores, scores), axis=1))


def softmax(scores: Any) -> Any:
    exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


def one_against_the_rest(scores: Any) -> Any:
    return _parts(expit(scores))


def clipped(scores: Any) -> Any:
    """The formula of SGDClassifier(loss="modified_huber")."""
    each = (np.clip(scores, -1, 1) + 1.0) / 2.0
    return np.concatenate((1.0 - each, each), axis=1) if each.shape[1] == 1 else _parts(each)


def _parts(each: Any) -> Any:
    """Each number divided by its row's sum; equal parts if all are 0."""
    sums = each.sum(axis=1, keepdims=True)
    nothing = sums[:, 0] == 0
    if nothing.any():
        each[nothing], sums[nothing] = 1.0, each.shape[1]
    each /= sums
    return each
