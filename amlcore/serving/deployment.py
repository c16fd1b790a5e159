"""Deployment: how a model is served, as it is declared in conf/deployment."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from amlcore.errors import DeploymentError

NAME = re.compile(r"[a-z][a-z0-9-]{1,30}[a-z0-9]")


@dataclass(frozen=True)
class Size:
    """What one service takes of its machine."""

    workers: int
    threads: int
    cpu: float | None  # as stated with the model, cores
    memory_in_gb: float | None

    @property
    def resources(self) -> dict[str, float | str]:
        """BentoML's `resources`; empty where nothing was stated."""
        cpu: dict[str, float | str] = {} if self.cpu is None else {"cpu": self.cpu}
        memory = {} if self.memory_in_gb is None else {"memory": f"{math.ceil(self.memory_in_gb * 1024)}Mi"}
        return {**cpu, **memory}


@dataclass
class Deployment:
    """Which service a model becomes, and what it may take."""

    name: str | None = None  # of the service and its Bento; null: the model's name
    workers: int | None = None  # processes; null: as many as the model's ResourceConfiguration allows, else 1
    threads: int | None = None  # threads that a worker gives to BLAS, OpenMP and joblib; null: 1
    timeout_s: float = 60.0  # seconds until a request is answered with 504
    azure_default: bool = False  # a request that names no method gets predict_proba where there is one, as in Azure ML

    def check(self) -> None:
        """Raises DeploymentError for a value that no model could be served with."""
        for key, value in (("workers", self.workers), ("threads", self.threads), ("timeout_s", self.timeout_s)):
            if value is not None and not value > 0:
                raise DeploymentError(f"deployment.{key}={value}: it must be more than 0")
        if self.name is not None:
            _check_name(self.name, "deployment.name")

    def service_name(self, model: str) -> str:
        """The service's name; a model's name that is no service name is refused, with one that would be."""
        if self.name is None:
            _check_name(model, "the model's name")
        return self.name or model

    def size(self, *, cpu: float | None, memory_in_gb: float | None) -> Size:
        """Workers and threads within `cpu` cores; less than one core still runs one worker with one thread."""
        cores = max(1, math.floor(cpu)) if cpu is not None else None
        threads = self.threads or 1
        workers = self.workers or max(1, (cores or 1) // threads)
        if cores is not None and workers * threads > cores:
            raise DeploymentError(
                f"deployment.workers={workers} times deployment.threads={threads} is more than the {cpu:g} cpu of the "
                f"model's ResourceConfiguration; legal: at most {cores} in all"
            )
        return Size(workers, threads, cpu, memory_in_gb)


def _check_name(name: str, what: str) -> None:
    if NAME.fullmatch(name):
        return
    near = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")[:32].rstrip("-")
    hint = f", such as deployment.name={near}" if NAME.fullmatch(near) else ""
    raise DeploymentError(
        f"{what} '{name}' is no name for a service: 3 to 32 lower-case letters, digits and dashes, a letter first and "
        f"no dash last{hint}"
    )
