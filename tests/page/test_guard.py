"""The guard of the page: what reads passes, what would write is refused with the command that does it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from amlcore.page.server.guard import Guard

API = "/ajax-api/2.0/mlflow"


def send(method: str, path: str, body: Any = None) -> tuple[str, str]:
    """The status and the text that a guarded application answers, which itself says `passed`."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"passed"]

    sent = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "CONTENT_LENGTH": str(len(sent))}
    statuses: list[str] = []
    answer = Guard(application)({**environ, "wsgi.input": io.BytesIO(sent)}, lambda status, _: statuses.append(status))
    return statuses[0], b"".join(answer).decode()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("HEAD", "/static-files/main.js"),
        ("GET", f"{API}/runs/get"),
        ("OPTIONS", f"{API}/runs/create"),
        ("POST", f"{API}/runs/search"),
        ("POST", "/api/2.0/mlflow/experiments/search"),
        ("POST", "/ajax-api/3.0/mlflow/traces/search"),
        ("POST", "/graphql"),
        ("POST", "/ajax-api/2.0mlflow/experiments/search-datasets"),  # spelled so by MLflow itself
    ],
)
def test_read_requests_pass(method: str, path: str) -> None:
    assert send(method, path) == ("200 OK", "passed")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPFIND", ""])
@pytest.mark.parametrize(
    "path",
    [
        *("/", "/get-artifact", "/runs/search", "/static-files/main.js", f"{API}/runs/search/../create"),
        *(f"{API}/{action}" for action in ("runs/create", "runs/set-tag", "demo/generate", "gateway-proxy")),
        *(f"{API}/{action}" for action in ("runs/search/", "traces", "upload-artifact", "runs/delete")),
        "/ajax-api/3.0/mlflow/logged-models",
    ],
)
def test_write_requests_are_refused(method: str, path: str) -> None:
    status, text = send(method, path)

    assert status == "403 Forbidden"
    assert json.loads(text)["error_code"] == "PERMISSION_DENIED"
    assert json.loads(text)["message"].startswith("`aml ui` only reads the record; ")


@pytest.mark.parametrize(
    ("action", "body", "command"),
    [
        ("runs/set-tag", {"run_id": "r1", "key": "good", "value": "yes indeed"}, "aml tag r1 'good=yes indeed'"),
        ("runs/set-tag", {"run_uuid": "r1", "key": "mlflow.note.content", "value": "x"}, "aml note r1 TEXT"),
        ("runs/update", {"run_id": "r1", "run_name": "base line"}, "aml name r1 'base line'"),
        ("runs/delete", {"run_id": "r1"}, "aml rm r1"),
        ("registered-models/create", {"name": "wine"}, "aml register RUN --name NAME"),
        ("registered-models/alias", {"name": "wine", "alias": "champion", "version": "7"}, "aml alias wine@champion 7"),
        ("model-versions/set-tag", {"name": "wine", "version": 2, "key": "a", "value": "b"}, "aml tag wine:2 a=b"),
        ("model-versions/delete", {"name": "wine", "version": "2"}, "aml models rm wine:2"),
        ("registered-models/delete", {"name": "wine"}, "aml models rm wine"),
    ],
)
def test_a_refusal_names_the_command(action: str, body: dict[str, Any], command: str) -> None:
    assert f"`{command}`" in json.loads(send("POST", f"{API}/{action}", body)[1])["message"]


@pytest.mark.parametrize("body", [b"", b"\xff", b"[1]", b"null", b'{"run_id": null}', b"{" * 5000])
def test_a_body_that_is_no_request_is_refused_as_well(body: bytes) -> None:
    assert send("POST", f"{API}/runs/set-tag", body)[0] == "403 Forbidden"
