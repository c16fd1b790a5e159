"""Service: a Bento that answers requests on this machine."""

from __future__ import annotations

import json
import shutil
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amlcore.errors import DeploymentError, LeftOutWarning, NotFoundError
from amlcore.record.reading import read_document
from amlcore.serving.client import body, request
from amlcore.serving.keys import ServiceKeys
from amlcore.serving.processes import ServiceLayout, ServiceProcess, reap, stop

LOOPBACK = "127.0.0.1"


@dataclass
class ServiceRecord(ServiceProcess):
    """service.json."""

    bento: str
    port: int
    route: str
    keys: str | None = None  # the file of its keys, if it has any


class Service:
    """A service that was started in the background, found by its folder from any process."""

    def __init__(self, folder: Path) -> None:
        self._layout = ServiceLayout(folder)
        record = read_document(self._layout.record, ServiceRecord, error=DeploymentError)
        if record is None:
            raise NotFoundError(f"there is no service '{folder.name}' running from {folder.parent}")
        self._record = record

    @property
    def name(self) -> str:
        return self._record.name

    @property
    def bento(self) -> str:
        """The tag of the Bento that it serves."""
        return self._record.bento

    @property
    def port(self) -> int:
        return self._record.port

    @property
    def log(self) -> Path:
        return self._layout.log

    @property
    def scoring_uri(self) -> str:
        return f"http://{LOOPBACK}:{self.port}{self._record.route}"

    @property
    def swagger_uri(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/docs.json"

    @property
    def state(self) -> str:
        """Transitioning until it is ready, then Healthy; Unhealthy while it does not answer, Failed at its end."""
        reap()
        if not self._layout.record.exists() or self._record.process.is_alive is False:
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
        """Wait until it is Healthy; `show_output` then prints its log."""
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
        return self._record.keys is not None

    def get_keys(self) -> tuple[str, str]:
        """The primary and the secondary key; the service accepts either."""
        keys = self._keys().read()
        return keys["primary"], keys["secondary"]

    def regen_key(self, key: str) -> None:
        """Replace the `Primary` or the `Secondary` key; the running service accepts the new one within a second."""
        self._keys().regenerate(key)

    def _keys(self) -> ServiceKeys:
        if self._record.keys is None:
            raise DeploymentError(f"service '{self.name}' has no keys; package its model with deployment.auth=key")
        return ServiceKeys(Path(self._record.keys))

    def run(self, input_data: Any) -> Any:
        """The service's answer to rows, a DataFrame, an array, or a whole body as text, dict or bytes."""
        key = self.get_keys()[0] if self.auth_enabled else None
        try:
            status, answer = request(self.scoring_uri, body=body(input_data), key=key, timeout_s=None)
        except OSError as error:
            raise DeploymentError(f"service '{self.name}' does not answer: it is {self.state} ({error})") from None
        value = json.loads(answer)
        if status != 200:
            details = value["error"]
            message = details["message"] if isinstance(details, dict) else details
            raise DeploymentError(f"service '{self.name}' answered {status}: {message}")
        return value

    def get_logs(self, num_lines: int = 5000) -> str:
        """The last lines of its log."""
        if not self._layout.log.exists():
            return ""
        lines = self._layout.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-num_lines:])

    def delete(self) -> None:
        """Stop all its processes and remove its folder; the Bento stays."""
        stop(self._layout.folder)
        shutil.rmtree(self._layout.folder, ignore_errors=True)


def list_services(folder: Path) -> list[Service]:
    """The services with records in `folder`, by name."""
    services = []
    for record in sorted(folder.glob(f"*/{ServiceLayout(folder).record.name}")):
        try:
            services.append(Service(record.parent))
        except DeploymentError as error:
            warnings.warn(f"skipping a service: {error}", LeftOutWarning, stacklevel=2)
    return services
