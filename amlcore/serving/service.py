"""Service: a Bento that answers requests on this machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from amlcore.environment import shared_interpreter_lock
from amlcore.errors import DeploymentError, LeftOutWarning, NotFoundError
from amlcore.record.ownership import owner_of
from amlcore.record.reading import Process, read_mapping
from amlcore.serving.bento import Bento
from amlcore.serving.child_environment import quiet_environment
from amlcore.serving.client import body, request
from amlcore.serving.keys import VARIABLE, ServiceKeys
from amlcore.worker.files import write_json
from amlcore.worker.process_identity import identity, is_alive

LOOPBACK = "127.0.0.1"

PROCESS = {"name": str, "process": Process}
"""What a service is ended by, whatever else its record lacks."""

RECORD = {**PROCESS, "bento": str, "port": int, "route": str}

FOLDER_VARIABLE = "AMLCORE_SERVICE"
"""The environment variable by which all processes of a service are found, orphans too."""

_started: list[subprocess.Popen[bytes]] = []  # kept so that none is collected, and asked so that none stays a zombie


@dataclass(frozen=True)
class ServiceLayout:
    """All names inside a service's folder."""

    folder: Path

    @property
    def record(self) -> Path:
        return self.folder / "service.json"

    @property
    def log(self) -> Path:
        return self.folder / "service.log"

    @property
    def was_healthy(self) -> Path:
        return self.folder / "healthy"

    @property
    def bentoml_home(self) -> Path:
        return self.folder / "bentoml"


class Service:
    """A service that was started in the background, found by its folder from any process."""

    def __init__(self, folder: Path) -> None:
        self._layout = ServiceLayout(folder)
        record = read_mapping(self._layout.record, RECORD, {"keys": str}, error=DeploymentError)
        if record is None:
            raise NotFoundError(f"there is no service '{folder.name}' running from {folder.parent}")
        self._record = record

    @property
    def name(self) -> str:
        return str(self._record["name"])

    @property
    def bento(self) -> str:
        """The tag of the Bento that it serves."""
        return str(self._record["bento"])

    @property
    def port(self) -> int:
        return int(self._record["port"])

    @property
    def log(self) -> Path:
        return self._layout.log

    @property
    def scoring_uri(self) -> str:
        return f"http://{LOOPBACK}:{self.port}{self._record['route']}"

    @property
    def swagger_uri(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/docs.json"

    @property
    def state(self) -> str:
        """Transitioning until it is ready, then Healthy; Unhealthy while it does not answer, Failed once ended."""
        for process in _started:
            process.poll()
        if not self._layout.record.exists() or is_alive(self._record["process"]) is False:
            return "Failed"
        if self._is_ready():
            self._layout.was_healthy.touch()
            return "Healthy"
        return "Unhealthy" if self._layout.was_healthy.exists() else "Transitioning"

    def _is_ready(self) -> bool:
        try:
            return request(f"http://{LOOPBACK}:{self.port}/readyz", timeout_s=5)[0] == 200
        except OSError:
            return False

    def wait_for_deployment(self, show_output: bool = False, *, timeout_s: float = 120.0) -> None:
        """Wait until it is Healthy; `show_output` prints its log then."""
        until = time.monotonic() + timeout_s
        while (state := self.state) == "Transitioning" and time.monotonic() < until:
            time.sleep(0.1)
        if state != "Healthy":
            tail = self.get_logs(num_lines=10)
            raise DeploymentError(f"service '{self.name}' is {state}; the end of {self._layout.log}:\n{tail}")
        if show_output:
            print(self.get_logs())

    @property
    def auth_enabled(self) -> bool:
        """Whether requests need a key."""
        return self._record.get("keys") is not None

    def get_keys(self) -> tuple[str, str]:
        """The primary and the secondary key; either is taken."""
        keys = self._keys().read()
        return keys["primary"], keys["secondary"]

    def regen_key(self, key: str) -> None:
        """Replace the `Primary` or the `Secondary` key; the service goes on and takes the new one within a second."""
        self._keys().regenerate(key)

    def _keys(self) -> ServiceKeys:
        if not self.auth_enabled:
            raise DeploymentError(f"service '{self.name}' has no keys; package its model with deployment.auth=key")
        return ServiceKeys(Path(self._record["keys"]))

    def run(self, input_data: Any) -> Any:
        """The service's answer to rows, a DataFrame, an array, or a whole body as text, dict or bytes."""
        key = self.get_keys()[0] if self.auth_enabled else None
        try:
            status, answer = request(self.scoring_uri, body=body(input_data), key=key, timeout_s=None)
        except OSError as error:
            raise DeploymentError(f"service '{self.name}' does not answer: it is {self.state} ({error})") from None
        value = json.loads(answer)
        if status != 200:
            fault = value["error"]
            said = fault["message"] if isinstance(fault, dict) else fault
            raise DeploymentError(f"service '{self.name}' answered {status}: {said}")
        return value

    def get_logs(self, num_lines: int = 5000) -> str:
        """The last lines that it has printed."""
        if not self._layout.log.exists():
            return ""
        lines = self._layout.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-num_lines:])

    def delete(self) -> None:
        """Stop it with all its processes, and forget it; its Bento stays."""
        stop(self._layout.folder)
        shutil.rmtree(self._layout.folder, ignore_errors=True)


def start(
    bento: Bento, *, python: Path, folder: Path, port: int | None = None, keys: ServiceKeys | None = None
) -> Service:
    """Serve `bento` by the interpreter `python` on loopback; a service that ran from `folder` before is replaced."""
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
    with layout.log.open("wb") as log, shared_interpreter_lock(python) as held:
        process = subprocess.Popen(
            _command(bento, python=python, host=LOOPBACK, port=port),
            cwd=layout.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[held.fileno()],  # `aml env prune` leaves the environment of a running service
            start_new_session=True,
        )
    _started.append(process)
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
    """Become `bentoml serve` in the interpreter `python`, so that signals and the exit status are its own."""
    # not from the user's folder: a module there would be imported in place of one of the service's
    os.chdir(bento.path)
    command = _command(bento, python=python, host=host, port=port)
    held = shared_interpreter_lock(python)
    os.set_inheritable(held.fileno(), True)
    os.execve(command[0], command, _environment_with(keys))


def _environment_with(keys: ServiceKeys | None) -> dict[str, str]:
    """What a service is started with: the file of its keys by name, never a key itself."""
    return {**quiet_environment(), **({} if keys is None else {VARIABLE: str(keys.path)})}


def list_services(folder: Path) -> list[Service]:
    """The services whose records lie in `folder`, by name."""
    found = []
    for record in sorted(folder.glob(f"*/{ServiceLayout(folder).record.name}")):
        try:
            found.append(Service(record.parent))
        except DeploymentError as error:
            warnings.warn(f"a service is left out: {error}", LeftOutWarning, stacklevel=2)
    return found


def stop(folder: Path, *, wait_s: float = 10.0) -> None:
    """End all processes of the service in `folder`: kindly first, then by force."""
    try:
        record = read_mapping(ServiceLayout(folder).record, PROCESS, error=DeploymentError)
    except DeploymentError:  # its processes are found without it
        record = None
    if record is not None and is_alive(record["process"]) is None:
        host = record["process"]["host"]
        raise DeploymentError(f"service '{record['name']}' runs on {host}; it can only be stopped there")
    if record is not None and is_alive(record["process"]):
        _check_mine(record)
        _signal([record["process"]["pid"]], signal.SIGTERM)
        _wait_until_gone(folder, wait_s)
    _signal(_processes(folder), signal.SIGKILL)
    _wait_until_gone(folder, wait_s)


def _check_mine(record: dict[str, Any]) -> None:
    """Raises DeploymentError where the service is another user's, before anything of it is touched."""
    try:
        process = f"/proc/{record['process']['pid']}"
        is_mine = os.geteuid() in (0, os.stat(process).st_uid)
    except OSError:  # it has ended just now
        return
    if not is_mine:
        raise DeploymentError(
            f"service '{record['name']}' was started by {owner_of(process)}, and only they can stop it"
        )


def check_replaceable(folder: Path) -> None:
    """Raises DeploymentError where a service in `folder` could not be replaced, before one is packaged for it."""
    record = read_mapping(ServiceLayout(folder).record, PROCESS, error=DeploymentError)
    if record is not None and is_alive(record["process"]):
        _check_mine(record)
    if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
        raise DeploymentError(
            f"{folder} belongs to {owner_of(folder)}: choose another name for the service, or ask them"
        )


def _wait_until_gone(folder: Path, wait_s: float) -> None:
    until = time.monotonic() + wait_s
    while _processes(folder) and time.monotonic() < until:
        time.sleep(0.05)


def _processes(folder: Path) -> list[int]:
    """All that the service in `folder` has started, as proc(5) tells it by their environment."""
    for process in _started:
        process.poll()
    mark = f"{FOLDER_VARIABLE}={folder.absolute()}".encode()
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if mark in _environment(path)]


def _environment(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().split(b"\0")
    except OSError:  # another user's, or gone by now
        return []


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _command(bento: Bento, *, python: Path, host: str, port: int) -> list[str]:
    # by its path and not its tag, which BentoML would first try to import as a module
    return [str(python), "-m", "bentoml", "serve", str(bento.path), "--host", host, "--port", str(port)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
