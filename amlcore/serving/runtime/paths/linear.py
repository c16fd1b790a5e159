"""Linear models as one matrix product."""

from __future__ import annotations

from operator import mul
from typing import Any

import numpy as np

from .labels import best, first, positions
from .path import METHODS, Alone, Scorer
from .probabilities import clipped, one_against_the_rest, sigmoid, softmax, softmax_of_two
from .unchecked import UncheckedScorer

SMALL = 64
"""Coefficients up to which Python's numbers are faster than arrays for one row."""


def linear(estimator: Any, unchecked: UncheckedScorer) -> Scorer | None:
    """A scorer, if the estimator predicts by scikit-learn's own linear formulas and adds nothing to them."""
    from sklearn.base import RegressorMixin
    from sklearn.linear_model._base import LinearClassifierMixin

    predict = getattr(type(estimator), "predict", None)
    coef, intercept = getattr(estimator, "coef_", None), getattr(estimator, "intercept_", 0.0)
    if not isinstance(coef, np.ndarray) or coef.dtype.kind != "f":
        return None
    if predict is LinearClassifierMixin.predict and coef.ndim == 2:
        return Classification(estimator, unchecked)
    if isinstance(estimator, RegressorMixin) and predict.__module__.startswith("sklearn.linear_model."):
        return Regression(coef, intercept)
    return None


class Regression(Scorer):
    """LinearRegression, Ridge, Lasso and the others that share their predict."""

    methods = frozenset({"predict"})

    def __init__(self, coef: Any, intercept: Any) -> None:
        self._coef, self._own, self._intercept = coef.T.astype("float64"), coef.T, intercept

    def score(self, method: str, matrix: Any) -> Any:  # noqa: ARG002 - there is only predict
        return matrix @ (self._own if matrix.dtype == np.float32 else self._coef) + self._intercept


class Classification(Scorer):
    """LogisticRegression, LinearSVC, SGDClassifier and the others that share their predict."""

    def __init__(self, estimator: Any, unchecked: UncheckedScorer) -> None:
        self._unchecked = unchecked
        self._coef, self._intercept = estimator.coef_.T.astype("float64"), estimator.intercept_
        self._own = estimator.coef_.T
        self._classes = estimator.classes_
        self._each = [self._classes[place : place + 1] for place in range(len(self._classes))]
        self._is_binary = estimator.coef_.shape[0] == 1
        self._lines = self._by_class() if self._coef.size <= SMALL else []
        self._probabilities = self._find_formula() if hasattr(estimator, "predict_proba") else None
        self.methods = frozenset(METHODS if self._probabilities else METHODS[:1])

    def score(self, method: str, matrix: Any) -> Any:
        if matrix.dtype == np.float32:
            return self._single(method, matrix)
        scores = matrix.dot(self._coef)  # for one row a third of the operator's cost
        scores += self._intercept
        if method == "predict_proba":
            return self._probabilities(scores)  # type: ignore[misc]
        if self._is_binary:
            scores = np.concatenate((-scores, scores), axis=1)
        if len(scores) == 1:
            place = first(scores[0].tolist())
            if place is not None:
                return self._each[place]
        return self._classes[best(scores, lambda rows: self._ask(matrix[rows]))]

    def _single(self, method: str, matrix: Any) -> Any:
        """For float32 rows: in the model's own precision; the model itself decides what that cannot tell apart."""
        scores = matrix @ self._own + self._intercept
        if method == "predict_proba":
            return self._unchecked.score(method, matrix)
        if self._is_binary:
            scores = np.concatenate((-scores, scores), axis=1)
        return self._classes[best(scores, lambda rows: self._ask(matrix[rows]))]

    def alone(self, method: str) -> Alone | None:
        return self._label if method == "predict" and self._lines else None

    def _label(self, row: list[float]) -> Any:
        place = first([sum(map(mul, row, coefficients), intercept) for coefficients, intercept in self._lines])
        return None if place is None else self._each[place]

    def _by_class(self) -> list[tuple[list[float], float]]:
        """The coefficients and the intercept of each class's score, as Python's numbers."""
        coef, intercept = self._coef.T, np.broadcast_to(self._intercept, len(self._coef.T))
        if self._is_binary:
            coef, intercept = np.concatenate((-coef, coef)), np.concatenate((-intercept, intercept))
        return list(zip(coef.tolist(), intercept.tolist()))

    def _ask(self, matrix: Any) -> Any:
        return positions(self._unchecked.score("predict", matrix), self._classes)

    def _find_formula(self) -> Any:
        """The formula of the probabilities, found by trying: it depends on version, solver and options."""
        random = np.random.default_rng(0)
        # scores near 0, where the formulas differ
        matrix = (random.normal(size=(8, self._coef.shape[1])) - self._intercept) @ np.linalg.pinv(self._coef)
        expected, scores = self._unchecked.score("predict_proba", matrix), matrix @ self._coef + self._intercept
        formulas = (sigmoid, softmax_of_two, clipped) if self._is_binary else (softmax, one_against_the_rest, clipped)
        for formula in formulas:
            if np.allclose(formula(scores), expected, rtol=1e-12, atol=0):
                return formula
        return None
