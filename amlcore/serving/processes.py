"""The processes of a service that runs in the background, found by its folder and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from amlcore.errors import DeploymentError
from amlcore.record.documents import ProcessIdentity
from amlcore.record.ownership import owner_of
from amlcore.record.reading import read_document

FOLDER_VARIABLE = "AMLCORE_SERVICE"
"""The environment variable by which all processes of a service are found, orphans included."""

_started: list[subprocess.Popen[bytes]] = []


def remember(process: subprocess.Popen[bytes]) -> None:
    """Keep a child of this process, so that it can be reaped."""
    _started.append(process)


def reap() -> None:
    """Leave no zombie of the services that this process started."""
    for process in _started:
        process.poll()


@dataclass
class ServiceProcess:
    """What it takes to stop a service, whatever else its record lacks."""

    name: str
    process: ProcessIdentity


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


def stop(folder: Path, *, wait_s: float = 10.0) -> None:
    """End all processes of the service in `folder`: first with SIGTERM, then with SIGKILL."""
    try:
        record = read_document(ServiceLayout(folder).record, ServiceProcess, error=DeploymentError)
    except DeploymentError:  # the processes are found without it
        record = None
    if record is not None and record.process.is_alive is None:
        host = record.process.host
        raise DeploymentError(f"service '{record.name}' runs on {host}; it can only be stopped there")
    if record is not None and record.process.is_alive:
        _check_mine(record)
        _signal([record.process.pid], signal.SIGTERM)
        _wait_until_gone(folder, wait_s)
    _signal(_processes(folder), signal.SIGKILL)
    _wait_until_gone(folder, wait_s)


def _check_mine(record: ServiceProcess) -> None:
    """Raise DeploymentError if the service belongs to another user, before anything is changed."""
    try:
        process = f"/proc/{record.process.pid}"
        is_mine = os.geteuid() in (0, os.stat(process).st_uid)
    except OSError:  # it has just ended
        return
    if not is_mine:
        raise DeploymentError(f"service '{record.name}' was started by {owner_of(process)}, and only they can stop it")


def check_replaceable(folder: Path) -> None:
    """Raise DeploymentError if a service in `folder` cannot be replaced, before a new one is packaged."""
    record = read_document(ServiceLayout(folder).record, ServiceProcess, error=DeploymentError)
    if record is not None and record.process.is_alive:
        _check_mine(record)
    if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
        raise DeploymentError(
            f"{folder} belongs to {owner_of(folder)}; choose another name for the service, or ask them to remove it"
        )


def _wait_until_gone(folder: Path, wait_s: float) -> None:
    until = time.monotonic() + wait_s
    while _processes(folder) and time.monotonic() < until:
        time.sleep(0.05)


def _processes(folder: Path) -> list[int]:
    """The processes of the service in `folder`, found by their environment, see proc(5)."""
    reap()
    mark = f"{FOLDER_VARIABLE}={folder.absolute()}".encode()
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if mark in _environment(path)]


def _environment(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().split(b"\0")
    except OSError:  # another user's, or just gone
        return []


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
