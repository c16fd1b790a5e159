"""The first answer of a service, asked for when it is packaged: what cannot answer anybody is not served."""

from __future__ import annotations

import json
import logging
from typing import Any

from ..packaged_model import PackagedModel
from ..predictor import Predictor

CAUSES = (OSError, ImportError)
"""What a model lacks, whatever it is asked."""


class _Heard(logging.Handler):
    """Keeps the exception behind an answer of 500, which goes to the log alone."""

    error: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.error = record.exc_info[1]


def first_answer(model: PackagedModel, predictor: Predictor, estimator: Any) -> dict[str, str | None]:
    """Why the service could answer nobody (`failed`), or only does not take the model's own sample (`refused`)."""
    rows = model.sample_rows or [[0.0] * (model.signature.n_features or 1)]
    heard = _Heard()
    log = logging.getLogger("bentoml.serve")
    log.addHandler(heard)
    try:
        answers = {method: predictor.answer(method, json.dumps({"data": rows}).encode()) for method in model.methods}
    finally:
        log.removeHandler(heard)
    found: dict[str, str | None] = {"failed": None, "refused": None}
    for method, (status, body) in answers.items():
        if status == 200:
            continue
        said = json.loads(body)["error"]["message"]
        error = heard.error if status == 500 else _of_model(estimator, method, model.signature.n_features or 1)
        if isinstance(error, CAUSES) or type(error).__name__.endswith("NotFittedError"):
            found["failed"] = f"{type(error).__name__}: {error}"
        elif model.sample:
            why = said if heard.error is None else f"{type(heard.error).__name__}: {heard.error}"
            found["failed" if status == 500 else "refused"] = f"{method} of the model's own sample: {why}"
    return found


def _of_model(estimator: Any, method: str, width: int) -> Exception | None:
    """What the model itself raises of a row of zeros."""
    import numpy as np

    try:
        getattr(estimator, method)(np.zeros((1, width)))
    except Exception as error:
        return error
    return None
