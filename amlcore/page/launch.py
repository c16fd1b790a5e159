"""Launch: this process becomes the page's server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

from amlcore.environment import shared_interpreter_lock
from amlcore.log import Log
from amlcore.page.environment import find_interpreter
from amlcore.page.wsgi_server import HOST
from amlcore.serving.address import check_port
from amlcore.workspace import Workspace

SERVER = Path(__file__).parent / "server" / "main.py"


def serve(workspace: Workspace, *, port: int, log: Log) -> NoReturn:
    """Become the server of the page of `workspace`, which gets the signals and sets the exit status.

    Raises
    ------
    RequestError
        Nothing can listen on `port`.
    BuildError
        MLflow cannot be installed.
    """
    check_port(HOST, port)
    python = find_interpreter(workspace, log=log)
    lock = shared_interpreter_lock(python)  # `aml env prune` leaves the environment of a running page
    os.set_inheritable(lock.fileno(), True)
    # isolated: neither the working folder nor PYTHONPATH may shadow what MLflow imports
    command = [str(python), "-I", "-W", "ignore", str(SERVER), str(workspace.path), str(port)]
    os.execve(command[0], command, server_environment(workspace, port))


def server_environment(workspace: Workspace, port: int) -> dict[str, str]:
    """This process's variables with MLflow's own replaced: those that a user sets are meant for scripts.

    One of them would have MLflow forward requests to another server.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "_MLFLOW_"))}
    return {
        **kept,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ENABLE_AI_GATEWAY": "false",
        "MLFLOW_SERVER_ALLOWED_HOSTS": f"{HOST}:{port},localhost:{port}",
        "_MLFLOW_SERVER_FILE_STORE": workspace.path.as_uri(),  # without it MLflow checks neither host nor origin
    }
