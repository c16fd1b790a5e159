"""The service that BentoML runs: `/predict`, and `/predict_proba` where the model has it."""

from __future__ import annotations

import os

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")  # read by BentoML when it starts to serve

import signal
import sys
from pathlib import Path
from typing import Any

import bentoml
from bentoml.exceptions import BentoMLException
from starlette.responses import Response

from .openapi import describe
from .predictor import Model, ModelFault


class Body(bentoml.IODescriptor):  # type: ignore[misc]
    """A request's body as it came: BentoML's own parsing answers 500 where a row does not fit."""

    data: Any

    @classmethod
    async def from_http_request(cls, request: Any, serde: Any) -> Any:  # noqa: ARG003
        return cls.model_construct(data=await request.body())


class Service(bentoml.Service):  # type: ignore[misc]
    """BentoML's service with an OpenAPI document that knows the model's columns."""

    __slots__ = ()

    @property
    def openapi_spec(self) -> Any:
        specification = super().openapi_spec
        for method in self.inner.model.methods:
            describe(specification.paths[f"/{method}"].post, self.inner.model, method)
        return specification


def create(folder: Path) -> Any:
    """The BentoML service of the model that was packaged into `folder`."""
    model = Model(folder)
    settings = model.settings
    endpoints = {
        method: bentoml.api(_endpoint(method), route=f"/{method}", input_spec=Body) for method in model.methods
    }
    members = {"__init__": _load, "__doc__": f"{model.name}, version {model.version}", "model": model}
    hooks = {"check_before_start": bentoml.on_deployment(lambda: _check(model))}
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
    return bentoml.service(
        name=settings["name"],
        service_class=Service,
        workers=settings["workers"],
        traffic={"timeout": settings["timeout_s"]},
        envs=[{"name": name, "value": str(settings["threads"])} for name in threads],
        **({"resources": settings["resources"]} if settings["resources"] else {}),
    )(type("Scorer", (), {**members, **hooks, **endpoints}))


def _endpoint(method: str) -> Any:
    def answer(self: Any, data: bytes) -> Any:
        status, body = self.predictor.answer(method, data)
        return Response(body, status_code=status, media_type="application/json")

    answer.__name__ = method
    answer.__doc__ = f"`{method}` of the model; rows as lists, or as records by column name."
    return answer


def _check(model: Model) -> None:
    """Runs in the supervisor before any worker: a wrong environment is one message and an exit status."""
    try:
        model.check()
    except ModelFault as fault:
        raise BentoMLException(str(fault)) from None


def _load(self: Any) -> None:
    try:
        self.predictor = self.model.load()
    except ModelFault as fault:
        if bentoml.server_context.worker_index is None:
            raise
        _stop_serving(str(fault))


def _stop_serving(message: str) -> None:
    """Stop supervisor and worker: BentoML would start a worker that cannot load its model again and again."""
    print(f"Error: {message}", file=sys.stderr, flush=True)
    os.kill(os.getppid(), signal.SIGTERM)
    os._exit(1)


_HOME = Path(__file__).resolve().parent.parent
if (_HOME / "service.json").is_file():  # inside a Bento
    service = create(_HOME)
