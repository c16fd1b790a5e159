"""Launch: a Bento becomes a running service, in the background or in place of this process."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from amlcore.environment import shared_interpreter_lock
from amlcore.errors import DeploymentError
from amlcore.log import Log
from amlcore.model import Model
from amlcore.serving.bento import Bento
from amlcore.serving.child_environment import quiet_environment
from amlcore.serving.deployment import Deployment
from amlcore.serving.interpreter import find_interpreter
from amlcore.serving.keys import VARIABLE, ServiceKeys
from amlcore.serving.packaging import log_to_stderr, package_model, single_model
from amlcore.serving.processes import FOLDER_VARIABLE, ServiceLayout, check_replaceable, remember, stop
from amlcore.serving.service import LOOPBACK, Service, list_services
from amlcore.worker.files import write_json
from amlcore.worker.process_identity import identity
from amlcore.workspace import Workspace


def deploy(
    workspace: Workspace,
    name: str,
    models: Sequence[Model] | Model,
    deployment: Deployment | None = None,
    *,
    overwrite: bool = False,
) -> Service:
    """Package exactly one model and serve it on loopback in the background.

    Raises
    ------
    DeploymentError
        A service of that name is running and `overwrite` is false, or the model cannot be served.
    """
    services = workspace.state_path / "services"
    running = next((service for service in list_services(services) if service.name == name), None)
    if running is not None and running.state != "Failed" and not overwrite:
        raise DeploymentError(
            f"service '{name}' is already {running.state} ({running.bento}); replace it with "
            "deploy(…, overwrite=True), or end it with service.delete()"
        )
    check_replaceable(services / name)
    named = replace(deployment or Deployment(), name=name)
    bento = package_model(workspace, single_model(models), named, log=log_to_stderr)
    python = interpreter(workspace, bento, log=log_to_stderr)
    return start(bento, python=python, folder=services / name, keys=service_keys(workspace, bento))


def service_keys(workspace: Workspace, bento: Bento) -> ServiceKeys | None:
    """The keys of a service that was packaged with deployment.auth=key, created on first use."""
    if not bento.needs_key:
        return None
    keys = ServiceKeys.of(workspace.state_path, bento.name)
    keys.read()  # another user's or damaged keys are an error before anything starts
    return keys


def interpreter(workspace: Workspace, bento: Bento, *, log: Log) -> Path:
    """The Python that serves `bento` as its model was trained: this one if it has the same packages, else its own."""
    return find_interpreter(workspace, bento.lock, version=bento.python, log=log)


def start(
    bento: Bento, *, python: Path, folder: Path, port: int | None = None, keys: ServiceKeys | None = None
) -> Service:
    """Serve `bento` on loopback with the interpreter `python`; replaces a service that ran from `folder` before."""
    layout = ServiceLayout(folder.absolute())
    stop(layout.folder)
    shutil.rmtree(layout.folder, ignore_errors=True)
    layout.folder.mkdir(parents=True)
    port = port or _free_port()
    environment = {
        **_environment_with(keys),
        FOLDER_VARIABLE: str(layout.folder),
        # BentoML empties the metrics folder of its home when it starts: two services must not share one
        "BENTOML_HOME": str(layout.bentoml_home),
    }
    with layout.log.open("wb") as log, shared_interpreter_lock(python) as lock:
        process = subprocess.Popen(
            _command(bento, python=python, host=LOOPBACK, port=port),
            cwd=layout.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[lock.fileno()],  # `aml env prune` leaves the environment of a running service
            start_new_session=True,
        )
    remember(process)
    record = {
        "name": folder.name,
        "bento": bento.tag,
        "port": port,
        "route": bento.route,
        "process": identity(process.pid),
        "keys": None if keys is None else str(keys.path),
    }
    write_json(str(layout.record), record)
    return Service(layout.folder)


def serve_in_foreground(
    bento: Bento, *, python: Path, port: int = 3000, host: str = LOOPBACK, keys: ServiceKeys | None = None
) -> NoReturn:
    """Become `bentoml serve` in the interpreter `python`, which gets the signals and sets the exit status."""
    # not from the user's folder: a module there would shadow one of the service's
    os.chdir(bento.path)
    command = _command(bento, python=python, host=host, port=port)
    lock = shared_interpreter_lock(python)
    os.set_inheritable(lock.fileno(), True)
    os.execve(command[0], command, _environment_with(keys))


def _environment_with(keys: ServiceKeys | None) -> dict[str, str]:
    """The environment of a service; it contains the path of the file of keys, and never a key."""
    return {**quiet_environment(), **({} if keys is None else {VARIABLE: str(keys.path)})}


def _command(bento: Bento, *, python: Path, host: str, port: int) -> list[str]:
    # by path: BentoML would first try to import a tag as a module
    return [str(python), "-m", "bentoml", "serve", str(bento.path), "--host", host, "--port", str(port)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
