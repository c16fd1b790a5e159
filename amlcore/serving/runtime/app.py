"""The service that BentoML runs: `/predict`, and `/predict_proba` where the model has it."""

from __future__ import annotations

import os

os.environ["BENTOML_DO_NOT_TRACK"] = "True"  # before BentoML is imported; see compat.py for when it already was

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
from .http.keys import key_guard
from .http.openapi import VERSION, describe, taken_types
from .http.streams import never_wait
from .packaged_model import PackagedModel
from .predictor import Predictor

avoid_lookups()

CONTAINERIZED = "BENTOML_CONTAINERIZED"
"""What the images that BentoML builds set; the ports of a container are reached only as whoever runs it says."""

PER_WORKER = 128
"""Requests at once that a worker takes where nothing is stated."""


SWITCH_S = 0.001
"""After so long in Python a thread lets another one run: with four that work, the event loop has to wait for all."""

MANY_ROWS = 10_000
"""Python looks for garbage after so many new objects; each row of a request is one, and none is garbage."""


FLOATS = r"(overflow|underflow|invalid value|divide by zero) encountered in "
"""What numpy warns of, on standard error, wherever it computes."""


class Body(bentoml.IODescriptor):  # type: ignore[misc]
    """A request's body as it came: BentoML's own parsing answers 500 where a row does not fit."""

    data: Any

    @classmethod
    async def from_http_request(cls, request: Any, serde: Any) -> Any:  # noqa: ARG003
        return cls.model_construct(data=await request.body())


class BentoService(bentoml.Service):  # type: ignore[misc]
    """BentoML's service with an OpenAPI document that knows the model's columns."""

    __slots__ = ()

    @property
    def openapi_spec(self) -> Any:
        specification = super().openapi_spec
        describe(specification, self.inner.model, self.inner.taken_types())
        return attrs.evolve(specification, openapi=VERSION)


class ModelAppService(BentoService):
    """One whose requests are answered in front of BentoML's own stack."""

    __slots__ = ()

    def to_asgi(self, is_main: bool = True) -> Any:
        limit_headers()
        return ModelApp(super().to_asgi(is_main=is_main), self.inner.worker_state())


class ModelAppMiddleware(ModelApp):
    """The same among BentoML's own middleware, where it can be put without any of BentoML's private parts."""

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
        # of what BentoML still answers itself; the model's requests have their own
        traffic={"timeout": settings["timeout_s"] + 5},
        # where nobody says --host or BENTOML_HOST; BentoML's own default is every address of the machine
        http={"host": "0.0.0.0" if os.environ.get(CONTAINERIZED) == "true" else "127.0.0.1"},
        # its labels are paths as clients send them, and its lines cost more than a small answer
        metrics={"enabled": False},
        logging={"access": {"enabled": False}},
        envs=[{"name": name, "value": str(settings["threads"])} for name in THREAD_VARIABLES],
        **({"resources": settings["resources"]} if settings["resources"] else {}),
    )(worker_class)
    if not isinstance(service, ModelAppService):
        service.add_asgi_middleware(ModelAppMiddleware, worker_class=worker_class)
    return service


class ModelWorker:
    """What BentoML makes one of in each worker."""

    model: PackagedModel
    workers: int
    _worker_state: WorkerState | None = None
    _types: dict[int, set[str]] | None = None

    def __init__(self) -> None:
        if bentoml.server_context.worker_index is not None:  # a worker of a server, and no process of a user's own
            never_wait()
        sys.setswitchinterval(SWITCH_S)
        gc.set_threshold(MANY_ROWS, *gc.get_threshold()[1:])
        # numbers near the limits of float64 are legal in a request, and what they become is in its answer
        warnings.filterwarnings("ignore", FLOATS, RuntimeWarning)
        # BentoML's handlers make uvicorn put a line together for each request, which its level then drops
        logging.getLogger("uvicorn.access").propagate = False
        try:
            self.predictor = Predictor.load(self.model)
        except ModelFault as fault:
            _give_up(fault)
        self.worker_state().predictor = self.predictor
        gc.freeze()  # what is loaded now stays: no collection looks at it again in the middle of an answer

    @classmethod
    def taken_types(cls) -> dict[int, set[str]]:
        """What each column takes; nothing is known where no model is loaded, as while the Bento is built."""
        if cls._types is None and cls._worker_state is not None and cls._worker_state.predictor is not None:
            cls._types = taken_types(cls.model, cls._worker_state.predictor.answer)
        return cls._types or {}

    @classmethod
    def worker_state(cls) -> WorkerState:
        """What stands before the model in this process, made when it is first asked for."""
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
    """Runs in the supervisor before any worker: a wrong environment is one message and an exit status."""
    never_wait()
    try:
        model.check()
        key_guard(model.settings)
    except (ModelFault, KeysFault) as fault:
        raise BentoMLException(str(fault)) from None


def _give_up(fault: Exception) -> NoReturn:
    """Stop supervisor and worker: BentoML would start a worker that cannot load its model again and again."""
    if bentoml.server_context.worker_index is None:  # no server, so it is the caller's to handle
        raise fault
    print(f"Error: {fault}", file=sys.stderr, flush=True)
    os.kill(os.getppid(), signal.SIGTERM)
    os._exit(1)


_HOME = Path(__file__).resolve().parent.parent
if (_HOME / "service.json").is_file():  # inside a Bento
    service = create(_HOME)
