"""The service that BentoML runs: `/predict`, and `/predict_proba` if the model has it."""

from __future__ import annotations

import os

os.environ["BENTOML_DO_NOT_TRACK"] = "True"  # before the import of BentoML; compat.py handles a later one

import gc
import logging
import math
import signal
import sys
import warnings
from pathlib import Path
from typing import Any, NoReturn

import attrs
import bentoml
from bentoml.exceptions import BentoMLException
from starlette.responses import Response

from .compat import avoid_lookups, can_wrap_asgi, limit_headers
from .cores import THREAD_VARIABLES, cores
from .errors import KeysFault, ModelFault
from .http.app import Limits, ModelApp, WorkerState
from .http.key_guard import key_guard
from .http.openapi import VERSION, complete_openapi, taken_types
from .http.streams import never_wait
from .packaged_model import PackagedModel
from .predictor import Predictor

avoid_lookups()

CONTAINERIZED = "BENTOML_CONTAINERIZED"
"""Set in the images that BentoML builds; whoever runs a container decides which of its ports can be reached."""

PER_WORKER = 128
"""The default limit of concurrent requests to a worker."""


SWITCH_S = 0.001
"""Seconds until a thread yields to another; Python's default would let four busy ones delay the event loop."""

MANY_ROWS = 10_000
"""New objects until Python collects garbage: each row of a request is one, and none is garbage."""


FLOATS = r"(overflow|underflow|invalid value|divide by zero) encountered in "
"""numpy's warnings, on standard error, about extreme numbers."""


class Body(bentoml.IODescriptor):  # type: ignore[misc]
    """The raw body of a request: BentoML's own parsing answers 500 if a row does not fit."""

    data: Any

    @classmethod
    async def from_http_request(cls, request: Any, serde: Any) -> Any:  # noqa: ARG003
        return cls.model_construct(data=await request.body())


class BentoService(bentoml.Service):  # type: ignore[misc]
    """BentoML's service, with the model's columns in its OpenAPI document."""

    __slots__ = ()

    @property
    def openapi_spec(self) -> Any:
        specification = super().openapi_spec
        complete_openapi(specification, self.inner.model, self.inner.taken_types())
        return attrs.evolve(specification, openapi=VERSION)


class ModelAppService(BentoService):
    """A service that answers its requests ahead of BentoML's own stack."""

    __slots__ = ()

    def to_asgi(self, is_main: bool = True) -> Any:
        limit_headers()
        return ModelApp(super().to_asgi(is_main=is_main), self.inner.worker_state())


class ModelAppMiddleware(ModelApp):
    """The same as one of BentoML's middleware, which needs none of its undocumented parts."""

    def __init__(self, app: Any, worker_class: Any) -> None:
        super().__init__(app, worker_class.worker_state())


def create(folder: Path) -> Any:
    """The BentoML service of the model that was packaged into `folder`."""
    model = PackagedModel(folder)
    settings = model.settings
    workers = settings["workers"] or max(1, cores() // settings["threads"])
    endpoints = {
        method: bentoml.api(_endpoint(method), route=f"/{method}", input_spec=Body) for method in model.methods
    }
    about = {"__doc__": f"{model.name}, version {model.version}", "model": model, "workers": workers}
    hooks = {"check_before_start": bentoml.on_deployment(lambda: _check(model))}
    worker_class = type("ModelWorker", (ModelWorker,), {**about, **hooks, **endpoints})
    service = bentoml.service(
        name=settings["name"],
        service_class=ModelAppService if can_wrap_asgi(bentoml.Service) else BentoService,
        workers=workers,
        # for what BentoML answers itself; requests to the model have their own timeout
        traffic={"timeout": settings["timeout_s"] + 5},
        # without --host or BENTOML_HOST; BentoML's default is every address of the machine
        http={"host": "0.0.0.0" if os.environ.get(CONTAINERIZED) == "true" else "127.0.0.1"},
        # the paths that clients send are its labels, and its log lines cost more than a small answer
        metrics={"enabled": False},
        logging={"access": {"enabled": False}},
        envs=[{"name": name, "value": str(settings["threads"])} for name in THREAD_VARIABLES],
        **({"resources": settings["resources"]} if settings["resources"] else {}),
    )(worker_class)
    if not isinstance(service, ModelAppService):
        service.add_asgi_middleware(ModelAppMiddleware, worker_class=worker_class)
    return service


class ModelWorker:
    """What BentoML instantiates in each worker."""

    model: PackagedModel
    workers: int
    _worker_state: WorkerState | None = None
    _types: dict[int, set[str]] | None = None

    def __init__(self) -> None:
        if bentoml.server_context.worker_index is not None:  # in a worker of a server, not in a user's own process
            never_wait()
        sys.setswitchinterval(SWITCH_S)
        gc.set_threshold(MANY_ROWS, *gc.get_threshold()[1:])
        # a request may hold numbers near the limits of float64; what they become is in its answer
        warnings.filterwarnings("ignore", FLOATS, RuntimeWarning)
        # uvicorn would format a line for each request, which the log level then drops
        logging.getLogger("uvicorn.access").propagate = False
        try:
            self.predictor = Predictor.load(self.model)
        except ModelFault as fault:
            _give_up(fault)
        self.worker_state().predictor = self.predictor
        gc.freeze()  # what is loaded now stays, so no collection needs to scan it during an answer

    @classmethod
    def taken_types(cls) -> dict[int, set[str]]:
        """The JSON types that each column accepts; empty while no model is loaded, as when the Bento is built."""
        if cls._types is None and cls._worker_state is not None and cls._worker_state.predictor is not None:
            cls._types = taken_types(cls.model, cls._worker_state.predictor.answer)
        return cls._types or {}

    @classmethod
    def worker_state(cls) -> WorkerState:
        """What all requests of this process share, created on first use."""
        if cls._worker_state is None:
            settings = cls.model.settings
            limits = Limits(
                timeout_s=settings["timeout_s"],
                max_concurrency=math.ceil((settings["max_concurrency"] or PER_WORKER * cls.workers) / cls.workers),
                max_body_bytes=settings["max_body_bytes"],
                threads=settings["threads"],
            )
            try:
                keys = key_guard(settings)
            except KeysFault as fault:
                _give_up(fault)
            cls._worker_state = WorkerState(cls.model, limits, keys=keys, logs=settings["access_log"])
        return cls._worker_state


def _endpoint(method: str) -> Any:
    def answer(self: Any, data: bytes) -> Any:
        status, body = self.predictor.answer(method, data)
        return Response(body, status_code=status, media_type="application/json")

    answer.__name__ = method
    answer.__doc__ = f"`{method}` of the model; rows as lists, or as records by column name."
    return answer


def _check(model: PackagedModel) -> None:
    """Runs in the supervisor before any worker starts, so that a wrong environment is one error message."""
    never_wait()
    try:
        model.check()
        key_guard(model.settings)
    except (ModelFault, KeysFault) as fault:
        raise BentoMLException(str(fault)) from None


def _give_up(fault: Exception) -> NoReturn:
    """Stop supervisor and worker: BentoML would restart a worker that cannot load its model for ever."""
    if bentoml.server_context.worker_index is None:  # not in a server: the caller handles it
        raise fault
    print(f"Error: {fault}", file=sys.stderr, flush=True)
    os.kill(os.getppid(), signal.SIGTERM)
    os._exit(1)


_HOME = Path(__file__).resolve().parent.parent
if (_HOME / "service.json").is_file():  # inside a Bento
    service = create(_HOME)
