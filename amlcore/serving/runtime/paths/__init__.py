"""Predict paths: ways to the model's own answers that are faster than `model.predict`, one accelerator a file.

None of them is believed: `proof` compares each with the model and measures it before it is used.
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
"""The path that is the model's last step itself."""

ONNX = "onnx"
ACCELERATORS = {"linear": linear, "trees": trees, "forest": forest, ONNX: onnx}


def candidates(
    estimator: Any, signature: Signature, *, only: set[str] | None = None, with_onnx: bool = False
) -> dict[str, PredictPath]:
    """The paths that are worth a try for `estimator` by name, or those of `only`; none where its rows are not known.

    `with_onnx`: whether ONNX Runtime is worth one where there is no other.
    """
    preparation = prepare(estimator, signature)
    if preparation is None:
        return {}
    unchecked = UncheckedScorer(preparation.final)
    found: dict[str, Scorer | None] = {UNCHECKED: unchecked}
    for name, accelerator in ACCELERATORS.items():
        has_another = any(scorer is not None for other, scorer in found.items() if other != UNCHECKED)
        if (name in only) if only is not None else (name != ONNX or (with_onnx and not has_another)):
            found[name] = accelerator(preparation.final, unchecked)
    takes_gaps = unchecked.takes_gaps()
    return {
        name: PredictPath(name, preparation, scorer, takes_gaps)
        for name, scorer in found.items()
        if scorer is not None and (only is None or name in only)
    }
