"""Predict paths: faster ways to the model's own answers than `model.predict`, one accelerator in each file.

None is trusted: `proof` compares each with the model and measures it before it is used.
"""

from __future__ import annotations

from typing import Any

from ..errors import NotHandled
from ..inputs.signature import Signature
from .forest import forest
from .linear import linear
from .onnx import onnx
from .path import PredictPath, Scorer
from .preparation import Preparation, prepare
from .trees import trees
from .unchecked import UncheckedScorer

__all__ = ["UNCHECKED", "NotHandled", "PredictPath", "Preparation", "Scorer", "UncheckedScorer", "candidates"]

UNCHECKED = "unchecked"
"""The path that calls the model's last step itself."""

ONNX = "onnx"
ACCELERATORS = {"linear": linear, "trees": trees, "forest": forest, ONNX: onnx}


def candidates(
    estimator: Any, signature: Signature, *, only: set[str] | None = None, with_onnx: bool = False
) -> dict[str, PredictPath]:
    """The candidates for `estimator` by name, or those of `only`; none if its rows or a transformer are unsupported.

    `with_onnx`: try ONNX Runtime if no other accelerator supports it.
    """
    preparation = prepare(estimator, signature)
    if preparation is None:
        return {}
    unchecked = UncheckedScorer(preparation.final)
    scorers: dict[str, Scorer | None] = {UNCHECKED: unchecked}
    for name, accelerator in ACCELERATORS.items():
        has_another = any(scorer is not None for other, scorer in scorers.items() if other != UNCHECKED)
        if (name in only) if only is not None else (name != ONNX or (with_onnx and not has_another)):
            scorers[name] = accelerator(preparation.final, unchecked)
    takes_gaps = unchecked.takes_gaps()
    return {
        name: PredictPath(name, preparation, scorer, takes_gaps)
        for name, scorer in scorers.items()
        if scorer is not None and (only is None or name in only)
    }
