"""The lean route: requests to the model, answered in front of BentoML's own stack, with all that guards them."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from time import perf_counter
from typing import Any

from .accesslog import AccessLog
from .answers import dumps
from .keys import Keys
from .metrics import Metrics
from .predictor import Model, Predictor
from .rows import InputError
from .work import QUICK_S, SLOW_S, InFlight, Pace, Threads, Turn

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEALTH = frozenset(("/livez", "/readyz", "/healthz"))
"""What answers without a key, a line in the log or a place in the queue."""

REQUEST_ID = re.compile(rb"[\w.:/+=@-]{1,128}")
"""Ids of clients that are taken over: nothing that breaks a line of the log."""

CLIENT_GONE = 499  # as nginx notes it: the client did not wait for its answer

log = logging.getLogger("bentoml.serve")


class Refusal(InputError):  # noqa: N818 - the request is at fault
    """A request that is answered before the model is asked."""

    def __init__(self, status: int, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message, status=status)
        self.headers = headers


class ClientGone(Exception):  # noqa: N818 - nobody is there to be told
    """The client closed its connection before its request was whole."""


@dataclass(frozen=True)
class Limits:
    """What one worker takes."""

    timeout_s: float
    max_concurrency: int
    max_body_bytes: int
    threads: int


class Front:
    """What a worker has in front of its model: made once the worker runs, and shared by all its requests."""

    def __init__(self, model: Model, limits: Limits, *, keys: Keys | None, logs: bool) -> None:
        self.limits = limits
        self.keys = keys
        self.access = AccessLog() if logs else None
        self.routes = {f"/{method}": method for method in model.methods}
        self.predictor: Predictor | None = None  # until BentoML has loaded the model, which is before any request
        self.metrics = Metrics(model=model.name, version=model.version, routes=[*model.methods, "metrics", "docs"])
        self.paces = {method: Pace() for method in model.methods}
        self.turn = Turn()
        self.threads = Threads(limits.threads)
        self.in_flight = InFlight(limits.timeout_s)
        self._ids = map(f"{os.urandom(6).hex()}%08x".__mod__, count())

    def new_id(self) -> str:
        return next(self._ids)

    def is_full(self) -> bool:
        return len(self.in_flight) + self.threads.abandoned >= self.limits.max_concurrency


class Lean:
    """An ASGI application around BentoML's: it answers what goes to the model, and guards, counts and logs the rest."""

    def __init__(self, app: App, front: Front) -> None:
        self._app = app
        self._front = front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in HEALTH:
            await self._app(scope, receive, send)
            return
        await Exchange(self._front, scope, receive, send).carry_out(self._app)


class Exchange:
    """One request and its answer."""

    __slots__ = ("_begun", "_front", "_headers", "_receive", "_received", "_scope", "_send", "request")

    def __init__(self, front: Front, scope: Scope, receive: Receive, send: Send) -> None:
        self._begun = perf_counter()
        self._front = front
        self._scope = scope
        self._receive = receive
        self._send = send
        self._received = 0
        self._headers: dict[bytes, bytes] = dict(scope["headers"])
        given = self._headers.get(b"x-request-id")
        taken = given is not None and REQUEST_ID.fullmatch(given)
        self.request = given.decode() if given is not None and taken else front.new_id()

    async def carry_out(self, app: App) -> None:
        """Answer as the model, as the metrics, or as `app`."""
        path = self._scope["path"]
        route = self._front.routes.get(path)
        try:
            self._check_key()
            if route is not None:
                await self._ask(route)
            elif path == "/metrics":
                self._check_method(b"GET", b"HEAD")
                content, kind = self._front.metrics.expose()
                await self._reply("metrics", 200, content, kind=kind.encode())
            else:
                await self._pass_on(app)
        except Refusal as refusal:
            await self._refuse(route or "other", refusal)
        except ClientGone:
            self._note(route or "other", CLIENT_GONE, 0)

    def _check_key(self) -> None:
        keys = self._front.keys
        if keys is not None and not keys.admit(self._headers.get(b"authorization")):
            raise Refusal(
                401,
                "this service takes requests with one of its keys: Authorization: Bearer KEY",
                (b"www-authenticate", b"Bearer"),
            )

    async def _ask(self, route: str) -> None:
        front = self._front
        self._check_head()
        if front.is_full():
            limit = front.limits.max_concurrency
            raise Refusal(
                429, f"{limit} requests are being answered, and a worker takes no more at once", (b"retry-after", b"1")
            )
        task = front.in_flight.enter(self._begun)
        body = None
        try:
            body = await self._body()
            status, answer = await self._answer(route, body)
        except asyncio.CancelledError:
            if not front.in_flight.is_overdue(task):
                raise
            raise self._too_late(body) from None
        finally:
            front.in_flight.leave(task)
        await self._reply(route, status, answer)
        if status == 200 and route == "predict":
            front.metrics.predicted(answer)

    def _check_head(self) -> None:
        """Refuse what needs no body to be refused."""
        self._check_method(b"POST")
        check_content(self._headers.get(b"content-type"), self._headers.get(b"content-encoding"))
        length = self._headers.get(b"content-length")
        if length is not None and length.isdigit() and int(length) > self._front.limits.max_body_bytes:
            raise self._too_large()

    def _check_method(self, *taken: bytes) -> None:
        if self._scope["method"].encode() not in taken:
            allowed = b", ".join(taken)
            raise Refusal(405, f"{self._scope['method']} is not taken here: {allowed.decode()} is", (b"allow", allowed))

    async def _body(self) -> bytes:
        message = await self._receive()
        body: bytes = message.get("body", b"")
        parts = [body]
        while message.get("more_body"):
            self._received += len(parts[-1])
            if self._received > self._front.limits.max_body_bytes:
                raise self._too_large()
            message = await self._receive()
            parts.append(message.get("body", b""))
        if message["type"] != "http.request":
            raise ClientGone
        if len(parts) > 1:
            body = b"".join(parts)
        self._received = len(body)
        if self._received > self._front.limits.max_body_bytes:
            raise self._too_large()
        return body

    async def _answer(self, route: str, body: bytes) -> tuple[int, bytes]:
        front = self._front
        predictor = front.predictor
        assert predictor is not None
        pace, size = front.paces[route], len(body)
        if size <= pace.quick_bytes:
            await front.turn.has_room()
            begun = perf_counter()
            answered = predictor.answer(route, body)
            seconds = perf_counter() - begun
            front.turn.spend(seconds)
            if seconds >= SLOW_S or (seconds <= QUICK_S and size * 2 > pace.quick_bytes):
                pace.learn(size, seconds)
            return answered
        front.metrics.in_flight.inc()
        try:
            result: tuple[int, bytes] = await front.threads.run(partial(predictor.answer, route, body), pace, size)
        finally:
            front.metrics.in_flight.dec()
        return result

    def _too_large(self) -> Refusal:
        most = self._front.limits.max_body_bytes
        return Refusal(413, f"the body is larger than the {most} bytes that this service takes")

    def _too_late(self, body: bytes | None) -> Refusal:
        seconds = f"{self._front.limits.timeout_s:g} s"
        if body is None:
            return Refusal(408, f"the body did not arrive within {seconds}", (b"connection", b"close"))
        return Refusal(504, f"there was no answer within {seconds}")

    async def _refuse(self, route: str, refusal: Refusal) -> None:
        await self._reply(route, refusal.status, dumps(refusal.to_json()), refusal.headers)

    async def _reply(
        self,
        route: str,
        status: int,
        body: bytes,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        *,
        kind: bytes = b"application/json",
    ) -> None:
        start = [
            (b"content-type", kind),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", self.request.encode()),
            *headers,
        ]
        await self._send({"type": "http.response.start", "status": status, "headers": start})
        await self._send({"type": "http.response.body", "body": body})
        self._note(route, status, len(body))

    async def _pass_on(self, app: App) -> None:
        """Let BentoML answer: its pages, its documents, and what there is not."""
        status, sent, name = 500, 0, (b"x-request-id", self.request.encode())

        async def send(message: dict[str, Any]) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", []), name]}
            sent += len(message.get("body", b""))
            await self._send(message)

        await app(self._scope, self._receive, send)
        self._note("docs" if status < 400 else "other", status, sent)

    def _note(self, route: str, status: int, sent: int) -> None:
        front, seconds = self._front, perf_counter() - self._begun
        front.metrics.answered(route, status, seconds)
        if front.access is not None:
            front.access.write(
                self._scope,
                request=self.request,
                status=status,
                seconds=seconds,
                received=self._received,
                sent=sent,
            )


def check_content(kind: bytes | None, encoding: bytes | None) -> None:
    """Refuse a body that is said not to be JSON; what says nothing, or comes from a plain `curl -d`, may be."""
    if encoding is not None and encoding.lower() != b"identity":
        raise Refusal(415, "a body that is compressed is not taken", (b"accept-encoding", b"identity"))
    if kind is None or kind == b"application/json":
        return
    name, _, parameters = kind.decode("latin-1").lower().partition(";")
    name = name.strip()
    charset = dict(part.strip().partition("=")[::2] for part in parameters.split(";")).get("charset", "utf-8")
    is_json = name in ("application/json", "text/json", "application/x-www-form-urlencoded") or name.endswith("+json")
    if not is_json:
        raise Refusal(415, f"Content-Type {name[:100]!r} is not taken: send application/json")
    if charset.strip('"') not in ("utf-8", "utf8", "us-ascii"):
        raise Refusal(415, f"charset {charset[:40]} is not taken: JSON is in utf-8")


def keys_of(settings: Mapping[str, Any]) -> Keys | None:
    """The keys of a service that was packaged with some."""
    return Keys.of(settings["name"], os.environ) if settings["auth"] == "key" else None
