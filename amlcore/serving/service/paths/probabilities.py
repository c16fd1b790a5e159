"""Probabilities from scores, by the formulas of scikit-learn."""

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
    each = expit(scores)
    return each / each.sum(axis=1, keepdims=True)
