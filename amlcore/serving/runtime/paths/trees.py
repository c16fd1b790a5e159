"""Ensembles of trees by treelite's GTIL, without scikit-learn's overhead for each tree and call."""

from __future__ import annotations

from typing import Any

import numpy as np

from .ensembles import ENSEMBLES, HISTOGRAMS
from .forest import forest
from .labels import best, positions
from .path import METHODS, Scorer
from .probabilities import sigmoid, softmax
from .splits import thresholds
from .unchecked import UncheckedScorer


def trees(estimator: Any, unchecked: UncheckedScorer) -> Scorer | None:
    """A scorer, if treelite is installed and supports the ensemble."""
    kind = type(estimator)
    if kind.__name__ not in ENSEMBLES or not kind.__module__.startswith("sklearn.ensemble."):
        return None
    try:
        import treelite.sklearn
    except ImportError:
        return None
    try:
        model = _with_baseline_first(treelite.sklearn.import_model(estimator))
    except Exception:  # treelite raises whatever it likes, such as on a custom init or categories of text
        return None
    return Trees(estimator, unchecked, model)


def _with_baseline_first(model: Any) -> Any:
    """`model` with its baseline as a tree of one leaf, before all others.

    treelite adds the baseline last, scikit-learn first. Only in scikit-learn's order are the sums the same to the last
    bit, and so is the smaller of two probabilities, which is only as exact as the last bit of the larger.
    """
    import treelite
    from treelite.model_builder import Metadata, ModelBuilder, PostProcessorFunc, TreeAnnotation

    header = model.get_header_accessor()
    baselines = header.get_field("base_scores")
    if not baselines.any():
        return model
    count = len(baselines)
    builder: Any = ModelBuilder(
        threshold_type="float64",
        leaf_output_type="float64",
        metadata=Metadata(
            num_feature=model.num_feature,
            task_type="kRegressor" if count == 1 else "kMultiClf",  # the only difference between the two here
            average_tree_output=False,
            num_target=1,
            num_class=[count],
            leaf_vector_shape=(1, 1),
        ),
        tree_annotation=TreeAnnotation(num_tree=count, target_id=[0] * count, class_id=list(range(count))),
        postprocessor=PostProcessorFunc(name="identity"),
        base_scores=[0.0] * count,
    )
    for baseline in baselines.tolist():
        builder.start_tree()
        builder.start_node(0)
        builder.leaf(baseline)
        builder.end_node()
        builder.end_tree()
    header.set_field("base_scores", np.zeros(count))
    return treelite.Model.concatenate([builder.commit(), model])


class Trees(Scorer):
    """All trees of an ensemble, on one thread: the other cores answer other requests."""

    def __init__(self, estimator: Any, unchecked: UncheckedScorer, model: Any) -> None:
        import treelite.gtil

        self._predict, self._model, self._estimator = treelite.gtil.predict, model, estimator
        self._exact = forest(estimator, unchecked) or unchecked
        # scikit-learn's own trees compare float32, those on histograms float64
        self._rounds = type(estimator).__name__ not in HISTOGRAMS
        self._classes = getattr(estimator, "classes_", None)
        self._is_boosted = self._classes is not None and "Boosting" in type(estimator).__name__
        loss = getattr(estimator, "_loss", None)
        # with a log link, as for counts, the trees sum up logarithms
        link = getattr(loss, "link", None) if self._classes is None and not self._rounds else None
        self._from_link = None if link is None else link.inverse
        self._sigmoid = _sigmoid_of_twice if type(loss).__name__ == "ExponentialLoss" else sigmoid
        self.methods = frozenset(METHODS if self._classes is not None else METHODS[:1])

    def score(self, method: str, matrix: Any) -> Any:
        rounded = matrix.astype(np.float32).astype(np.float64) if self._rounds else np.asarray(matrix, np.float64)
        scores = self._predict(self._model, rounded, nthread=1, pred_margin=self._is_boosted)
        if self._classes is None:
            numbers = scores[:, 0, 0] if scores.shape[1] == 1 else scores[:, :, 0]
            return numbers if self._from_link is None else self._from_link(numbers)
        probabilities = scores[:, 0, :]
        if self._is_boosted:
            # treelite's own softmax is one of float32
            probabilities = self._sigmoid(probabilities) if probabilities.shape[1] == 1 else softmax(probabilities)
        if method == "predict_proba":
            return probabilities
        return self._classes[best(probabilities, lambda rows: self._ask(matrix[rows]))]

    def _ask(self, matrix: Any) -> Any:
        return positions(self._exact.score("predict", matrix), self._classes)

    def thresholds(self) -> dict[int, Any]:
        return thresholds(self._estimator)


def _sigmoid_of_twice(scores: Any) -> Any:
    return sigmoid(2 * scores)
