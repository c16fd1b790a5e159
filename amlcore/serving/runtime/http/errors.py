"""HttpError: a request that is refused before the model is asked, and the checks of its headers."""

from __future__ import annotations

from ..inputs.errors import InputError


class HttpError(InputError):
    """A request that is refused before the model is asked."""

    def __init__(self, status: int, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message, status=status)
        self.headers = headers


def check_method(method: str, *allowed: str) -> None:
    if method not in allowed:
        names = ", ".join(allowed)
        raise HttpError(405, f"{method} is not allowed here; use {names}", (b"allow", names.encode()))


def check_content(kind: bytes | None, encoding: bytes | None) -> None:
    """Refuse a body whose headers say that it is not JSON; no Content-Type, and that of `curl -d`, are accepted."""
    if encoding is not None and encoding.lower() != b"identity":
        raise HttpError(
            415,
            "a compressed body is not supported; send it without Content-Encoding",
            (b"accept-encoding", b"identity"),
        )
    if kind is None or kind == b"application/json":
        return
    name, _, parameters = kind.decode("latin-1").lower().partition(";")
    name = name.strip()
    charset = dict(part.strip().partition("=")[::2] for part in parameters.split(";")).get("charset", "utf-8")
    is_json = name in ("application/json", "text/json", "application/x-www-form-urlencoded") or name.endswith("+json")
    if not is_json:
        raise HttpError(415, f"Content-Type {name[:100]!r} is not supported; send application/json")
    if charset.strip('"') not in ("utf-8", "utf8", "us-ascii"):
        raise HttpError(415, f"charset {charset[:40]} is not supported; send JSON in utf-8")
