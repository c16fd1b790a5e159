"""ModelApp: answers requests to the model ahead of BentoML's own stack, with keys, limits, log and metrics."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from time import perf_counter
from typing import Any

from ..inputs.errors import quoted
from ..packaged_model import PackagedModel
from ..predictor import Predictor
from .access_log import AccessLog
from .concurrency import QUICK_S, SLOW_S, TURN_S, InFlight, Pace, Threads, Turn
from .errors import HttpError, check_content, check_method
from .key_guard import KeyGuard
from .page import POLICY, page
from .prometheus import Metrics
from .request_log import LoggedRequest, RequestLog
from .response import dumps

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEALTH = frozenset(("/livez", "/readyz", "/healthz"))
"""Answered without a key, a log line or a place in the queue."""

REQUEST_ID = re.compile(rb"[\w.:/+=@-]{1,128}")
"""Clients' ids that are kept: none that could break a line of the log."""

ABSENT = frozenset((404, 405))
"""Statuses that BentoML answers in plain text; the service answers them in its own form."""

CLIENT_GONE = 499  # nginx's number: the client did not wait for its answer

log = logging.getLogger("bentoml.serve")


class ClientGone(Exception):  # noqa: N818 - nobody is left to answer
    """The client closed its connection before its request was complete."""


@dataclass(frozen=True)
class Limits:
    """The limits of one worker."""

    timeout_s: float
    max_concurrency: int
    max_body_bytes: int
    threads: int


class WorkerState:
    """What the requests of a worker share: limits, keys, log, metrics, threads and the model itself."""

    def __init__(self, model: PackagedModel, limits: Limits, *, keys: KeyGuard | None, logs: bool) -> None:
        self.limits = limits
        self.keys = keys
        self.access = AccessLog() if logs else None
        self.routes = {f"/{method}": method for method in model.methods}
        self.predictor: Predictor | None = None  # set once BentoML has loaded the model, before any request
        self.metrics = Metrics(model=model.name, version=model.version, routes=[*model.methods, "metrics", "docs"])
        self.page = page(f"{model.name}, version {model.version}")
        self.paces = {method: Pace() for method in model.methods}
        self.turn = Turn()
        self.threads = Threads(limits.threads)
        self.in_flight = InFlight(limits.timeout_s)
        self.request_log = RequestLog(self._count_and_write)
        self._ids = map(f"{os.urandom(6).hex()}%08x".__mod__, count())

    def new_id(self) -> str:
        return next(self._ids)

    def is_full(self) -> bool:
        return len(self.in_flight) + self.threads.abandoned >= self.limits.max_concurrency

    def _count_and_write(self, requests: list[LoggedRequest]) -> None:
        self.metrics.count(requests)
        if self.access is not None:
            self.access.write(requests)


class ModelApp:
    """An ASGI application around BentoML's: answers requests to the model; guards, counts and logs all others."""

    def __init__(self, app: App, worker: WorkerState) -> None:
        self._app = app
        self._worker = worker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["path"] in HEALTH and scope["method"] in ("GET", "HEAD")):
            await self._app(scope, receive, send)
            if scope["type"] == "lifespan":  # the service is stopping, and the loop with it
                self._worker.request_log.flush()
            return
        await Exchange(self._worker, scope, receive, send).carry_out(self._app)


class Exchange:
    """One request and its answer."""

    __slots__ = ("_headers", "_receive", "_received", "_scope", "_send", "_started", "_worker", "request")

    def __init__(self, worker: WorkerState, scope: Scope, receive: Receive, send: Send) -> None:
        self._started = perf_counter()
        self._worker = worker
        self._scope = scope
        self._receive = receive
        self._send = send
        self._received = 0
        self._headers: dict[bytes, bytes] = dict(scope["headers"])
        client_id = self._headers.get(b"x-request-id")
        is_usable = client_id is not None and REQUEST_ID.fullmatch(client_id)
        self.request = client_id.decode() if client_id is not None and is_usable else worker.new_id()

    async def carry_out(self, app: App) -> None:
        """Answer with the model, the metrics, the page, or `app`."""
        worker, path = self._worker, self._scope["path"]
        route = worker.routes.get(path)
        try:
            if worker.keys is not None:
                self._check_key(worker.keys)
            if route is not None:
                await self._ask(route)
            elif path == "/":
                check_method(self._scope["method"], "GET", "HEAD")
                await self._reply("docs", 200, worker.page, (POLICY,), kind=b"text/html; charset=utf-8")
            elif path == "/metrics":
                check_method(self._scope["method"], "GET", "HEAD")
                worker.request_log.flush()
                content, kind = worker.metrics.expose()
                await self._reply("metrics", 200, content, kind=kind.encode())
            else:
                await self._pass_on(app)
        except HttpError as error:
            await self._reply(route or "other", error.status, dumps(error.to_json()), error.headers)
        except ClientGone:
            self._log_request(route or "other", CLIENT_GONE, 0)

    def _check_key(self, keys: KeyGuard) -> None:
        if not keys.admit(self._headers.get(b"authorization")):
            raise HttpError(
                401,
                "this service requires one of its keys: Authorization: Bearer KEY",
                (b"www-authenticate", b"Bearer"),
            )

    async def _ask(self, route: str) -> None:
        """The hot path, one coroutine on purpose: each extra await costs about 1 % of a small request."""
        worker = self._worker
        self._check_headers()
        if worker.is_full():
            limit = worker.limits.max_concurrency
            raise HttpError(
                429, f"too many requests: a worker answers at most {limit} at once; retry later", (b"retry-after", b"1")
            )
        task = worker.in_flight.enter(self._started)
        body: bytes | None = None
        try:
            message = await self._receive()
            body = self._whole(message) if not message.get("more_body") else await self._joined(message)
            self._received = len(body)
            pace = worker.paces[route]
            if self._received <= pace.quick_bytes:
                if worker.turn.seconds > TURN_S:
                    await worker.turn.wait_for_time()
                status, answer = self._answer(route, body, pace)
            else:
                status, answer = await self._answer_in_thread(route, body, pace)
        except asyncio.CancelledError:
            if not worker.in_flight.is_overdue(task):
                raise
            raise self._too_late(body) from None
        finally:
            worker.in_flight.leave(task)
        await self._reply(route, status, answer, predictions=answer if status == 200 and route == "predict" else None)

    def _check_headers(self) -> None:
        """Refuse what can be refused by the headers alone."""
        headers = self._headers
        if self._scope["method"] != "POST":
            check_method(self._scope["method"], "POST")
        if headers.get(b"content-type") != b"application/json" or b"content-encoding" in headers:
            check_content(headers.get(b"content-type"), headers.get(b"content-encoding"))
        length = headers.get(b"content-length")
        if length is not None and length.isdigit() and int(length) > self._worker.limits.max_body_bytes:
            raise self._too_large()

    def _whole(self, message: dict[str, Any]) -> bytes:
        if message["type"] != "http.request":
            raise ClientGone
        body: bytes = message.get("body", b"")
        if len(body) > self._worker.limits.max_body_bytes:
            self._received = len(body)
            raise self._too_large()
        if not body and not message.get("more_body") and b"upgrade" in self._headers:
            # Java's client sends it by default; uvicorn stays with HTTP/1.1 and drops the body
            raise HttpError(400, "the body of a request with Upgrade is lost; send plain HTTP/1.1 without it")
        return body

    async def _joined(self, message: dict[str, Any]) -> bytes:
        """The whole body, whose first part is in `message`."""
        parts = [self._whole(message)]
        while message.get("more_body"):
            self._received += len(parts[-1])
            if self._received > self._worker.limits.max_body_bytes:
                raise self._too_large()
            message = await self._receive()
            parts.append(message.get("body", b""))
        return self._whole({**message, "body": b"".join(parts)})

    def _answer(self, route: str, body: bytes, pace: Pace) -> tuple[int, bytes]:
        """Answer on the event loop."""
        worker, size = self._worker, len(body)
        assert worker.predictor is not None
        started = perf_counter()
        answer = worker.predictor.answer(route, body)
        seconds = perf_counter() - started
        worker.turn.spend(seconds)
        if seconds >= SLOW_S or pace.is_doubtful or (seconds <= QUICK_S and size * 2 > pace.quick_bytes):
            pace.learn(size, seconds)
        return answer

    async def _answer_in_thread(self, route: str, body: bytes, pace: Pace) -> tuple[int, bytes]:
        """Answer in a thread."""
        worker = self._worker
        assert worker.predictor is not None
        worker.metrics.in_flight.inc()
        try:
            call = partial(worker.predictor.answer, route, body)
            result: tuple[int, bytes] = await worker.threads.run(call, pace, len(body))
        finally:
            worker.metrics.in_flight.dec()
        return result

    def _too_large(self) -> HttpError:
        limit = self._worker.limits.max_body_bytes
        return HttpError(413, f"the body is larger than {limit} bytes, the limit of this service")

    def _too_late(self, body: bytes | None) -> HttpError:
        seconds = f"{self._worker.limits.timeout_s:g} s"
        if body is None:
            return HttpError(408, f"the body did not arrive within {seconds}", (b"connection", b"close"))
        return HttpError(504, f"the model did not answer within {seconds}")

    async def _reply(
        self,
        route: str,
        status: int,
        body: bytes,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        *,
        kind: bytes = b"application/json",
        predictions: bytes | None = None,
    ) -> None:
        start = [
            (b"content-type", kind),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", self.request.encode()),
            *headers,
        ]
        await self._send({"type": "http.response.start", "status": status, "headers": start})
        await self._send({"type": "http.response.body", "body": body})
        self._log_request(route, status, len(body), predictions)

    async def _pass_on(self, app: App) -> None:
        """Let BentoML answer with its pages and documents; its own 404 and 405 become errors in the service's form."""
        status, sent, name = 500, 0, (b"x-request-id", self.request.encode())
        allow = b""

        async def send(message: dict[str, Any]) -> None:
            nonlocal status, sent, allow
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", []), name]}
                allow = dict(message["headers"]).get(b"allow", b"")
            if status in ABSENT:
                return
            sent += len(message.get("body", b""))
            await self._send(message)

        await app(self._scope, self._receive, send)
        if status in ABSENT:
            raise self._absent(status, allow)
        self._log_request("docs" if status < 400 else "other", status, sent)

    def _absent(self, status: int, allow: bytes) -> HttpError:
        """`allow`: the methods that BentoML lists for this path; may be empty."""
        if status == 404:
            routes = " or ".join(self._worker.routes)
            return HttpError(status, f"{quoted(self._scope['path'])} does not exist; send rows to {routes}")
        hint = f"; use {allow.decode()}" if allow else ""
        return HttpError(
            status, f"{self._scope['method']} is not allowed here{hint}", *([(b"allow", allow)] if allow else [])
        )

    def _log_request(self, route: str, status: int, sent: int, predictions: bytes | None = None) -> None:
        seconds = perf_counter() - self._started
        self._worker.request_log.add(
            LoggedRequest(route, status, seconds, self.request, self._scope, self._received, sent, predictions)
        )
