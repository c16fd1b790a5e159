"""RunRequest: one run as a plain value, queued where a worker claims it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from amlcore.worker.files import write_json
from amlcore.worker.layout import RunLayout

PRIVATE_MODE = 0o600
"""Only the owner may read a request: its arguments and variables may be private."""


@dataclass(frozen=True)
class WorkerKind:
    """What two runs must have in common to share a worker: everything read at start-up or import."""

    interpreter: str  # the full path of the environment's Python
    environment_variables: dict[str, str] = field(default_factory=dict)
    cores: int | None = None
    preload: tuple[str, ...] = ()  # modules imported before the script starts; empty: a cold worker

    @property
    def key(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class RunRequest:
    """All that a worker needs to run a script once; its fields are the queue's file format."""

    run: str
    folder: str
    objects: str
    manifest: str
    script: str
    argv: list[str]
    environment_variables: dict[str, str]
    inputs: dict[str, dict[str, str]]
    timeout_s: float | None
    mem_bytes: int | None
    attempt: int = 1
    kill_wait_s: float = 5.0  # seconds from SIGTERM to SIGKILL
    module: str | None = None  # its name, if `script` runs as with `python -m`
    resumable: bool = False  # an interrupted attempt leaves no result, since another may follow
    mlflow: bool = True  # MLflow's calls go into the run, if its environment has MLflow

    @property
    def name(self) -> str:
        """The name of its file in a queue."""
        return f"{self.run}.{self.attempt}.json"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def enqueue(self, folder: Path) -> None:
        """Write the request where workers look for it, after recording that path in the run's folder."""
        path = str(folder / self.name)
        write_json(RunLayout(self.folder).queued, {"path": path})
        write_json(path, self.to_json(), mode=PRIVATE_MODE)

    @classmethod
    def read(cls, path: Path) -> RunRequest:
        return cls(**json.loads(path.read_text()))
