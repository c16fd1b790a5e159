"""Deployment: how a model is served, as declared in conf/deployment."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum

from amlcore.errors import DeploymentError

SERVICE_NAME = re.compile(r"[a-z][a-z0-9-]{1,30}[a-z0-9]")
IMAGE = re.compile(r"[a-zA-Z0-9][\w.:/@-]*")


@dataclass(frozen=True)
class Size:
    """The share of a machine that a service uses."""

    workers: int | None  # None: one for each `threads` cores of the machine that serves it
    threads: int
    cpu: float | None  # as stated, cores
    memory_in_gb: float | None

    @property
    def resources(self) -> dict[str, float | str]:
        """BentoML's `resources`; empty if none were stated."""
        cpu: dict[str, float | str] = {} if self.cpu is None else {"cpu": self.cpu}
        memory = {} if self.memory_in_gb is None else {"memory": f"{math.ceil(self.memory_in_gb * 1024)}Mi"}
        return {**cpu, **memory}


class Auth(StrEnum):
    """Who may send requests."""

    none = "none"  # whoever can reach the port
    key = "key"  # whoever sends one of the two keys


@dataclass
class Deployment:
    """The service that a model becomes, and its limits."""

    name: str | None = None  # of the service and its Bento; null: the model's name
    workers: int | None = None  # processes; null: as many as cpu allows, or the cores of the machine that serves it
    threads: int | None = None  # threads that a worker gives to BLAS, OpenMP and joblib; null: 1
    cpu: float | None = None  # cores for all workers; null: those of the model's ResourceConfiguration
    memory_in_gb: float | None = None  # for all workers; null: that of the model's ResourceConfiguration
    timeout_s: float = 60.0  # seconds until a request is answered with 504
    azure_default: bool = False  # /predict answers predict_proba unless the request specifies a method, as in Azure ML
    max_concurrency: int | None = None  # concurrent requests of all workers, more get 429; null: 128 a worker
    max_body_mb: float = 4.0  # megabytes of a request's body; larger ones are answered 413
    auth: Auth = Auth.none  # key: requests need one of two keys; `aml keys NAME` shows them
    access_log: bool = True  # one line of JSON for each request on standard output
    onnx: bool = False  # true: try ONNX Runtime too; it joins the Bento's packages if it is used
    base_image: str | None = None  # for `bentoml containerize`; null: python:X.Y-slim, the model's Python

    def check(self) -> None:
        """Raise DeploymentError for a value with which no model can be served."""
        for key in ("workers", "threads", "cpu", "memory_in_gb", "timeout_s", "max_concurrency", "max_body_mb"):
            value = getattr(self, key)
            if value is not None and not value > 0:
                raise DeploymentError(f"deployment.{key}={value}: must be more than 0")
        if self.name is not None:
            _check_name(self.name, "deployment.name")
        if self.base_image is not None and not IMAGE.fullmatch(self.base_image):
            raise DeploymentError(
                f"deployment.base_image={self.base_image!r}: must be the name of an image, such as "
                "registry.example.com/python:3.11-slim"
            )

    def service_name(self, model: str) -> str:
        """The service's name; if the model's name cannot be one, the error suggests a name."""
        if self.name is None:
            _check_name(model, "the model's name")
        return self.name or model

    def size(self, *, cpu: float | None, memory_in_gb: float | None) -> Size:
        """Workers and threads within the cores of the deployment, else of the model: `cpu` and `memory_in_gb`.

        Less than one core still means one worker with one thread.
        """
        origin = "of the model's ResourceConfiguration" if self.cpu is None else "of deployment.cpu"
        cpu = self.cpu or cpu
        cores = max(1, math.floor(cpu)) if cpu is not None else None
        threads = self.threads or 1
        workers = self.workers if self.workers or cores is None else max(1, cores // threads)
        if cores is not None and workers is not None and workers * threads > cores:
            raise DeploymentError(
                f"deployment.workers={workers} times deployment.threads={threads} is more than the {cpu:g} cpu "
                f"{origin}; together they must be at most {cores}"
            )
        return Size(workers, threads, cpu, self.memory_in_gb or memory_in_gb)


def _check_name(name: str, what: str) -> None:
    if SERVICE_NAME.fullmatch(name):
        return
    suggestion = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")[:32].rstrip("-")
    hint = f", such as deployment.name={suggestion}" if SERVICE_NAME.fullmatch(suggestion) else ""
    raise DeploymentError(
        f"{what} '{name}' cannot name a service: use 3 to 32 lower-case letters, digits and dashes, starting with a "
        f"letter and not ending with a dash{hint}"
    )


def supported_python() -> str:
    """The versions of Python that BentoML runs on, as a specifier of PEP 440."""
    from importlib import metadata  # 5 ms of each command

    return str(metadata.metadata("bentoml")["Requires-Python"])
