"""Refusal: a request that is answered before the model is asked, and what in its head is refused."""

from __future__ import annotations

from ..inputs.errors import RequestError


class HttpError(RequestError):
    """A request that is answered before the model is asked."""

    def __init__(self, status: int, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message, status=status)
        self.headers = headers


def check_method(method: str, *taken: str) -> None:
    if method not in taken:
        allowed = ", ".join(taken)
        raise HttpError(405, f"{method} is not taken here: {allowed} is", (b"allow", allowed.encode()))


def check_content(kind: bytes | None, encoding: bytes | None) -> None:
    """Refuse a body that is said not to be JSON; what says nothing, or comes from a plain `curl -d`, may be."""
    if encoding is not None and encoding.lower() != b"identity":
        raise HttpError(415, "a body that is compressed is not taken", (b"accept-encoding", b"identity"))
    if kind is None or kind == b"application/json":
        return
    name, _, parameters = kind.decode("latin-1").lower().partition(";")
    name = name.strip()
    charset = dict(part.strip().partition("=")[::2] for part in parameters.split(";")).get("charset", "utf-8")
    is_json = name in ("application/json", "text/json", "application/x-www-form-urlencoded") or name.endswith("+json")
    if not is_json:
        raise HttpError(415, f"Content-Type {name[:100]!r} is not taken: send application/json")
    if charset.strip('"') not in ("utf-8", "utf8", "us-ascii"):
        raise HttpError(415, f"charset {charset[:40]} is not taken: JSON is in utf-8")
