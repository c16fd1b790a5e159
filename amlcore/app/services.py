"""The services of a workspace: served in the foreground, and their keys."""

from __future__ import annotations

from amlcore.errors import RequestError
from amlcore.log import Log
from amlcore.serving.address import check_port, find_address
from amlcore.serving.find import find_service
from amlcore.serving.launch import interpreter, serve_in_foreground, service_keys
from amlcore.workspace import Workspace


def serve(workspace: Workspace, reference: str, *, host: str, port: int, log: Log) -> int:
    """Serve a packaged model in the foreground, in its own environment; becomes `bentoml serve`."""
    address = find_address(host, port)
    check_port(address, port)
    bento = find_service(workspace, reference, log=log)
    pair = service_keys(workspace, bento)
    python = interpreter(workspace, bento, log=log)
    url_host = f"[{address}]" if ":" in address else address
    log(f"serving {bento.tag} (model {bento.model}) on http://{url_host}:{port}")
    serve_in_foreground(bento, python=python, port=port, host=address, keys=pair)


def keys(workspace: Workspace, reference: str, *, regenerate: str | None, log: Log) -> dict[str, str]:
    """The two keys of a packaged service and the file that holds them; `regenerate` names one to replace first."""
    bento = find_service(workspace, reference, log=log)
    pair = service_keys(workspace, bento)
    if pair is None:
        raise RequestError(f"service '{bento.name}' has no keys; package it with deployment.auth=key to require one")
    if regenerate is not None:
        pair.regenerate(regenerate)
    return {"service": bento.name, **pair.read(), "file": str(pair.path)}
