"""The guard in front of MLflow's application: what reads passes, and what would write is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from amlcore.page.server.advice import advise
from amlcore.page.wsgi_server import Application, Start

READING_METHODS = ("GET", "HEAD", "OPTIONS")

READING_POSTS = re.compile(
    r"/graphql|/(?:ajax-)?api/[23]\.0/?mlflow/(?:"
    r"(?:datasets|experiments|issues|logged-models|prompt-optimization/jobs|runs|traces)/search"
    r"|experiments/search-datasets|registered-models/get-latest-versions"
    r"|traces/(?:batchGetInfos|calculate-filter-correlation|metrics)"
    r")"
)
"""The requests that MLflow's page sends as POST and that only read; GraphQL has no mutation that writes."""

LONGEST_BODY = 1 << 20  # bytes that are read of a refused request, for the advice


def is_reading(method: str, path: str) -> bool:
    """Whether a request only reads."""
    return method in READING_METHODS or (method == "POST" and READING_POSTS.fullmatch(path) is not None)


class Guard:
    """Refuses the requests that do not only read, in front of a WSGI application."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        if is_reading(method, path):
            return self._application(environ, start_response)
        # MLflow's page shows the message of such a document
        document = {"error_code": "PERMISSION_DENIED", "message": advise(path, _body(environ))}
        answer = json.dumps(document).encode()
        start_response("403 Forbidden", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
        return [answer]


def _body(environ: dict[str, Any]) -> dict[str, Any]:
    """The JSON object that a request carries; empty if it has none."""
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        value = json.loads(environ["wsgi.input"].read(min(length, LONGEST_BODY)))
    except (ValueError, OSError):
        return {}
    return value if isinstance(value, dict) else {}
