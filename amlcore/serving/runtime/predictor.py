"""Predictor: answers the requests of a model."""

from __future__ import annotations

import json
import logging
from typing import Any

from .errors import NotHandled
from .http.request import PredictRequest, read, read_quickly
from .http.response import Writer, plain
from .inputs.errors import RequestError, quoted
from .packaged_model import PackagedModel
from .rows.explain import score_or_explain

log = logging.getLogger("bentoml.serve")

MOST_FAILURES = 3
"""A faster path that has raised so often is not asked any more."""


class Predictor:
    """Answers requests, as a status and a body, and raises on none of them."""

    def __init__(self, model: PackagedModel, estimator: Any) -> None:
        # it loads numpy and scipy, which the supervisor, that only checks the model's files, has no use for
        from .inputs.reference_model import ReferenceModel
        from .proof.fast_paths import load_fast_paths

        self._signature = model.signature
        self._reference = ReferenceModel(estimator, model.signature)
        self._methods = model.all_methods
        self._general = model.methods[0]
        self._defaults = {**{name: name for name in model.methods}, self._general: model.default_method}
        classes = getattr(estimator, "classes_", None)
        self._writer = Writer(
            model.name, model.version, plain(classes) if classes is not None else model.about.get("classes")
        )
        sample = (model.sample or {}).get("rows") or []
        self._failures = 0
        self._fast_paths = load_fast_paths(estimator, model.signature, sample, model.proof)

    @classmethod
    def load(cls, model: PackagedModel) -> Predictor:
        """Raises ModelFault where the model must not be served."""
        return cls(model, model.load_estimator())

    def answer(self, method: str, body: bytes) -> tuple[int, bytes]:
        """The answer of the route of `method`; the first route answers other methods too, if the body asks for one."""
        try:
            return 200, self._answer(method, body)
        except RequestError as error:
            return error.status, json.dumps(error.to_json()).encode()
        except Exception:
            log.exception("%s failed", method)
            fault = RequestError(f"{method} failed; the service's log says why")
            return 500, json.dumps(fault.to_json()).encode()

    def _answer(self, route: str, body: bytes) -> bytes:
        request = read_quickly(body) or read(body)
        method = self._defaults[route] if request.method is None else self._asked(route, request.method)
        return self._writer.write(method, self._result(method, request))

    def _result(self, method: str, request: PredictRequest) -> Any:
        """What the model's `method` returns: by a faster path for what is right at first sight."""
        if self._fast_paths is not None:
            try:
                return self._fast_paths.score(method, request.data, is_numeric=request.is_numeric)
            except NotHandled:
                pass
            except Exception:
                self._count_failure()
        return score_or_explain(self._reference, method, self._signature.read(request.data))

    def _count_failure(self) -> None:
        """A path that raises now and then is passed over, one that goes on with it is switched off."""
        self._failures += 1
        if self._failures < MOST_FAILURES:
            log.warning("a faster path failed, the model answers by itself", exc_info=True)
            return
        self._fast_paths = None
        log.warning("a faster path failed %d times: it is switched off", self._failures, exc_info=True)

    def _asked(self, route: str, method: str) -> str:
        if method not in self._methods:
            raise RequestError(f"method is {quoted(method)}; legal: {', '.join(self._methods)}", status=400)
        if route not in (self._general, method):
            raise RequestError(f"/{route} does not answer {quoted(method)}: send it to /{self._general}", status=400)
        return method
