"""Predictor: answers requests with a model and its fast paths."""

from __future__ import annotations

import json
import logging
from typing import Any

from .errors import NotHandled
from .http.predict_request import PredictRequest, exact_data, read, read_quickly
from .http.response import Writer, answer_to_json
from .inputs.errors import InputError, quoted
from .packaged_model import PackagedModel
from .rows.refusals import score_or_explain

log = logging.getLogger("bentoml.serve")

MAX_FAILURES = 3
"""Errors of the fast paths until they are switched off."""


class Predictor:
    """Answers each request with a status and a body; never raises."""

    def __init__(self, model: PackagedModel, estimator: Any) -> None:
        # these import numpy and scipy, which the supervisor does not need to check the model's files
        from .inputs.reference_model import ReferenceModel
        from .proof.fast_paths import load_fast_paths

        self._signature = model.signature
        self._reference = ReferenceModel(estimator, model.signature)
        self._methods = model.all_methods
        self._general = model.methods[0]
        self._defaults = {**{name: name for name in model.methods}, self._general: model.default_method}
        classes = getattr(estimator, "classes_", None)
        self._writer = Writer(
            model.name, model.version, answer_to_json(classes) if classes is not None else model.about.get("classes")
        )
        sample = (model.sample or {}).get("rows") or []
        self._failures = 0
        self._fast_paths = load_fast_paths(estimator, model.signature, sample, model.proof)

    @classmethod
    def load(cls, model: PackagedModel) -> Predictor:
        """Load the model; raises ModelFault if it must not be served."""
        return cls(model, model.load_estimator())

    def answer(self, method: str, body: bytes) -> tuple[int, bytes]:
        """The answer of the route of `method`; the first route also answers other methods that a body asks for."""
        try:
            return 200, self._answer(method, body)
        except InputError as error:
            return error.status, json.dumps(error.to_json()).encode()
        except Exception:
            log.exception("%s failed", method)
            failure = InputError(f"{method} failed; the reason is in the service's log")
            return 500, json.dumps(failure.to_json()).encode()

    def _answer(self, route: str, body: bytes) -> bytes:
        request = read_quickly(body) or read(body)
        method = self._defaults[route] if request.method is None else self._checked(route, request.method)
        return self._writer.write(method, self._result(method, request, body))

    def _result(self, method: str, request: PredictRequest, body: bytes) -> Any:
        """What the model's `method` returns, by a fast path if one handles these rows."""
        if self._fast_paths is not None:
            try:
                return self._fast_paths.score(method, request.data, is_numeric=request.is_numeric)
            except NotHandled:
                pass
            except Exception:
                self._count_failure()
        return score_or_explain(self._reference, method, self._signature.read(exact_data(request, body)))

    def _count_failure(self) -> None:
        """Switch the fast paths off once they have failed MAX_FAILURES times."""
        self._failures += 1
        if self._failures < MAX_FAILURES:
            log.warning("a fast path failed; the model itself answered", exc_info=True)
            return
        self._fast_paths = None
        log.warning("a fast path failed %d times and is switched off", self._failures, exc_info=True)

    def _checked(self, route: str, method: str) -> str:
        if method not in self._methods:
            raise InputError(f"unknown method {quoted(method)}; available: {', '.join(self._methods)}", status=400)
        if route not in (self._general, method):
            raise InputError(
                f"/{route} does not answer {quoted(method)}; send the request to /{self._general}", status=400
            )
        return method
