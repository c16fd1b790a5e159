"""MLflow's own web application over the record: read-only, quiet, and set up for training."""

from __future__ import annotations

import logging
from http import HTTPStatus
from pathlib import Path
from typing import Any

import mlflow.server
from flask import Flask, Response, request
from mlflow.exceptions import MlflowException
from mlflow.server import handlers

from amlcore.execution.interrupts import catch_signals
from amlcore.page.server import repository, settings
from amlcore.page.server.guard import Guard
from amlcore.page.server.mlmodel import describe_model
from amlcore.page.server.stores import PageRegistry, PageStore
from amlcore.page.wsgi_server import HOST, Application, serve_until_interrupted
from amlcore.terminal.output import log
from amlcore.worker.mlflow.uris import uri_of
from amlcore.workspace import Workspace

NONE_SET_UP: dict[str, dict[str, Any]] = {
    "/ajax-api/2.0/mlflow/users/current": {},
    "/ajax-api/3.0/mlflow/assistant/config": {"providers": {}, "projects": {}, "remote_access_allowed": False},
    "/ajax-api/3.0/mlflow/assistant/providers": {"providers": [], "resolved": None, "gateway_vendor_options": {}},
}
"""What each page asks of parts of MLflow that are not here, its accounts and its assistant, and the answer without."""


def serve(root: Path, port: int) -> int:
    """Serve the page of the workspace at `root` until interrupted."""
    catch_signals()
    workspace = Workspace(root=str(root))
    words = f"all runs of {workspace.name} on http://{HOST}:{port}; read-only; press Ctrl-C to stop"
    try:
        application = create(workspace)
        serve_until_interrupted(application, port, on_ready=lambda: log(words))
    except KeyboardInterrupt:
        pass
    log("stopped")
    return 0


def create(workspace: Workspace) -> Application:
    """The page of `workspace`. MLflow's application is one object, so a process can have one page."""
    logging.getLogger("mlflow").setLevel(logging.ERROR)  # a refused request is the browser's to tell
    store = PageStore(workspace)
    store.read_ahead()
    handlers._tracking_store = store
    handlers._model_registry_store = PageRegistry(uri_of(str(workspace.path)))
    repository.register(workspace)
    application = mlflow.server.app
    index = settings.page(Path(application.static_folder, "index.html"))
    application.view_functions["serve"] = lambda: Response(index, mimetype="text/html")
    _show_schemas(application, workspace)
    for path, answer in NONE_SET_UP.items():
        application.add_url_rule(path, path, lambda answer=answer: answer)
    application.register_error_handler(MlflowException, _answer)
    application.register_error_handler(OSError, _answer_absent)
    return Guard(application.wsgi_app)


def _show_schemas(application: Flask, workspace: Workspace) -> None:
    """Describe each model that was not saved by MLflow as if it had been."""
    serve_file = application.view_functions["serve_model_version_artifact"]

    def serve_file_or_description() -> Any:
        answer = serve_file()
        if answer.status_code != HTTPStatus.NOT_FOUND or request.args.get("path") != "MLmodel":
            return answer
        name, version = request.args.get("name", ""), request.args.get("version", "")
        handlers._get_model_registry_store().get_model_version(name, version)  # there is one, so the path is safe
        text = describe_model(workspace.models_path / name / version)
        return answer if text is None else Response(text, mimetype="text/plain")

    application.view_functions["serve_model_version_artifact"] = serve_file_or_description


def _answer(error: MlflowException) -> Response:
    """Some of MLflow's handlers let such an error pass, which would be a 500 with a traceback."""
    return Response(error.serialize_as_json(), status=error.get_http_status_code(), mimetype="application/json")


def _answer_absent(error: OSError) -> Response:
    """A file was removed between two looks, or is another user's."""
    return Response(str(error), status=404, mimetype="text/plain")
