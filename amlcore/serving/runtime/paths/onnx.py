"""Estimators by ONNX Runtime, in float64, if skl2onnx converts them; the proof decides which are equal."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from .labels import CLOSE
from .path import METHODS, Scorer
from .unchecked import UncheckedScorer


def onnx(estimator: Any, unchecked: UncheckedScorer) -> Scorer | None:
    """A scorer, if skl2onnx and onnxruntime are installed and support the estimator."""
    width = getattr(estimator, "n_features_in_", None)
    try:
        import onnxruntime
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import DoubleTensorType
    except ImportError:
        return None
    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "classes_") else None
    logging.getLogger("skl2onnx").setLevel(logging.ERROR)
    try:
        model = to_onnx(estimator, initial_types=[("rows", DoubleTensorType([None, width]))], options=options)
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1  # the cores are for other requests
        settings.log_severity_level = 4
        session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
        return Onnx(estimator, unchecked, session)
    except Exception:  # skl2onnx raises whatever it likes: few estimators are supported in every form and in float64
        return None


class Onnx(Scorer):
    """An estimator as an ONNX graph."""

    def __init__(self, estimator: Any, unchecked: UncheckedScorer, session: Any) -> None:
        self._unchecked, self._run = unchecked, session.run
        self._outputs = [output.name for output in session.get_outputs()]
        self._classes = getattr(estimator, "classes_", None)
        has_probabilities = hasattr(estimator, "predict_proba") and len(self._outputs) == 2
        self.methods = frozenset(METHODS if has_probabilities else METHODS[:1])

    def score(self, method: str, matrix: Any) -> Any:
        inputs = {"rows": np.ascontiguousarray(matrix, np.float64)}
        if method == "predict_proba":
            return self._run(self._outputs[1:], inputs)[0]
        outputs = self._run(self._outputs, inputs)
        if self._classes is None:
            return outputs[0][:, 0] if outputs[0].ndim == 2 and outputs[0].shape[1] == 1 else outputs[0]
        labels = np.asarray(outputs[0]).astype(self._classes.dtype)
        doubtful = _are_close(outputs[1])
        if doubtful.any():
            labels[doubtful] = self._unchecked.score("predict", matrix[doubtful])
        return labels


def _are_close(scores: Any) -> Any:
    """The rows whose two highest scores could swap in the model's own arithmetic, (n_rows,) bool."""
    if scores.shape[1] == 1:
        return np.abs(scores[:, 0]) <= CLOSE
    second, first = np.partition(scores, -2, axis=1)[:, -2:].T
    return first - second <= CLOSE * np.maximum(np.abs(first), 1e-6)
