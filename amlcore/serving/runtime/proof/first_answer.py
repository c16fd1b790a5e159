"""First answer: packaging sends one request, and a service that cannot answer it is not packaged."""

from __future__ import annotations

import json
import logging
from typing import Any

from ..packaged_model import PackagedModel
from ..predictor import Predictor

CAUSES = (OSError, ImportError)
"""Errors of a model that lacks something, whatever the request."""


class _LastError(logging.Handler):
    """Keeps the exception behind an answer of 500, which goes only to the log."""

    error: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.error = record.exc_info[1]


def first_answer(model: PackagedModel, predictor: Predictor, estimator: Any) -> dict[str, str | None]:
    """Why the service cannot answer any request (`failed`), or not the model's own sample (`refused`)."""
    rows = model.sample_rows or [[0.0] * (model.signature.n_features or 1)]
    handler = _LastError()
    log = logging.getLogger("bentoml.serve")
    log.addHandler(handler)
    try:
        answers = {method: predictor.answer(method, json.dumps({"data": rows}).encode()) for method in model.methods}
    finally:
        log.removeHandler(handler)
    reasons: dict[str, str | None] = {"failed": None, "refused": None}
    for method, (status, body) in answers.items():
        if status == 200:
            continue
        message = json.loads(body)["error"]["message"]
        error = handler.error if status == 500 else _model_error(estimator, method, model.signature.n_features or 1)
        if isinstance(error, CAUSES) or type(error).__name__.endswith("NotFittedError"):
            reasons["failed"] = f"{type(error).__name__}: {error}"
        elif model.sample:
            reason = message if handler.error is None else f"{type(handler.error).__name__}: {handler.error}"
            reasons["failed" if status == 500 else "refused"] = f"{method} of the model's own sample: {reason}"
    return reasons


def _model_error(estimator: Any, method: str, width: int) -> Exception | None:
    """What the model itself raises for a row of zeros."""
    import numpy as np

    try:
        getattr(estimator, method)(np.zeros((1, width)))
    except Exception as error:
        return error
    return None
