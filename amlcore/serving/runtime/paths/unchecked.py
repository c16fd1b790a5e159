"""The model's last step itself, without its input checks, which have been made already."""

from __future__ import annotations

from typing import Any

import numpy as np

from .path import METHODS, Scorer
from .preparation import nameless


class UncheckedScorer(Scorer):
    """Any estimator of scikit-learn."""

    def __init__(self, estimator: Any) -> None:
        from sklearn import config_context

        self._config_context = config_context
        self.estimator = nameless(estimator)
        self.methods = frozenset(method for method in METHODS if hasattr(estimator, method))

    def takes_gaps(self) -> bool:
        """Whether it accepts missing values, with its checks on."""
        # CatBoost's n_features_in_ is 0 until it has predicted
        width = (
            getattr(self.estimator, "n_features_in_", None)
            or len(getattr(self.estimator, "feature_names_", ()))
            or None
        )
        try:
            self.estimator.predict(np.full((1, width or 1), np.nan))
        except Exception:  # each library refuses gaps by an error of its own
            return False
        return width is not None

    def score(self, method: str, matrix: Any) -> Any:
        with self._config_context(assume_finite=True):
            return getattr(self.estimator, method)(matrix)
