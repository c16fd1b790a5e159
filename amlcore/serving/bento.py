"""Package: a registered model becomes a Bento in BentoML's own store."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import secrets
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from amlcore.environment.lock import pins
from amlcore.environment.temporary_folder import temporary_folder
from amlcore.errors import DeploymentError, NotFoundError, suggest
from amlcore.model.trusted_types import TRUSTED_TYPES
from amlcore.serving.child_environment import plain_environment
from amlcore.serving.deployment import Auth, Deployment
from amlcore.serving.proof import copy_service
from amlcore.worker import durable
from amlcore.worker.files import write_json

if TYPE_CHECKING:
    from amlcore.model import Model

LATEST = "latest"  # the file beside the versions in which BentoML names the newest
OUR_LABELS = {"model", "model_version", "run", "sha256"}


def is_here(lock: str, *, python: str) -> bool:
    """Whether the interpreter that runs amlcore has the packages of `lock`, on Python `python`."""
    try:
        return python == platform.python_version() and all(
            metadata.version(name) == wanted for name, wanted in pins(lock).items()
        )
    except metadata.PackageNotFoundError:
        return False


@dataclass(frozen=True)
class Bento:
    """One packaging of a model, in BentoML's store."""

    name: str
    version: str
    path: Path
    created: str  # ISO 8601, UTC
    labels: dict[str, str]  # model, model_version, run, sha256

    @property
    def tag(self) -> str:
        return f"{self.name}:{self.version}"

    @property
    def serve_command(self) -> str:
        """What serves it in the environment that its model was trained in."""
        return f"aml serve {self.tag}"

    @property
    def lock(self) -> str:
        """The packages that serve it, as they were locked."""
        # Not env/python/requirements.txt: BentoML adds a line without a hash to that one.
        path = self.path / "src" / "requirements.txt"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DeploymentError(f"{self.tag}: {path} cannot be read: {error.strerror}") from None
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 != self._told("service.json").get("lock_sha256", sha256):
            raise DeploymentError(f"{self.tag}: {path} is not what was packaged; package the model again")
        return content.decode("utf-8")

    @property
    def python(self) -> str:
        """The version of Python that its model was trained on."""
        return str(self._told("model/model.json")["python"])

    @property
    def needs_key(self) -> bool:
        """Whether a request needs one of the service's keys."""
        return bool(self._told("service.json").get("auth") == Auth.key)

    @property
    def route(self) -> str:
        """That answers a request for the model's own method: `/transform` where it has no predict."""
        return "/predict" if "predict" in self._told("model/model.json")["methods"] else "/transform"

    def _told(self, name: str) -> dict[str, Any]:
        """What a file of the Bento holds."""
        path = self.path / "src" / name
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DeploymentError(f"{self.tag}: {path} cannot be read ({error}); package the model again") from None
        if not isinstance(value, dict):
            raise DeploymentError(f"{self.tag}: {path} is damaged; package the model again")
        return value

    @property
    def model(self) -> str:
        """The model it serves, as NAME:VERSION."""
        return f"{self.labels['model']}:{self.labels['model_version']}"


def package(model: Model, deployment: Deployment, *, serving_lock: str, proof: dict[str, Any] | None = None) -> Bento:
    """Build a new version of the service's Bento.

    `serving_lock` is the training lock with bentoml added; without a `proof` the model answers by itself.

    Raises
    ------
    DeploymentError
        The model cannot be served, or not as the deployment says.
    ModelError
        Its files are not those that were registered.
    """
    deployment.check()
    name = deployment.service_name(model.name)
    check_model(model)
    settings = service_settings(model, deployment)
    with temporary_folder("bento") as stage:
        shutil.copytree(model.folder, stage / "model")
        copy_service(stage)
        sealed = {**settings, "lock_sha256": hashlib.sha256(serving_lock.encode()).hexdigest()}
        write_json(str(stage / "service.json"), sealed)
        if proof is not None:
            write_json(str(stage / "proof.json"), proof)
        (stage / "requirements.txt").write_text(serving_lock)
        (stage / "bentofile.yaml").write_text(yaml.safe_dump(_bentofile(model, deployment, settings)))
        version = _build(stage, name=name)
    bento = find_bento(f"{name}:{version}")
    durable.sync_tree(bento.path, bento.path.parent / LATEST)
    durable.sync_parents(bento.path, bento.path.parents[3])  # as far as the folder that holds the store
    return bento


def check_model(model: Model) -> None:
    """Make sure that BentoML can serve `model`, and that its files are those that were registered.

    Raises
    ------
    DeploymentError, ModelError
        It cannot, or they are not.
    """
    from packaging.specifiers import SpecifierSet

    if model.framework != model.Framework.SCIKITLEARN:
        raise DeploymentError(f"{model.id} is a {model.framework} model; only ScikitLearn models are packaged")
    if not {"predict", "transform"} & set(model.methods):
        raise DeploymentError(f"{model.id} ({model.class_name}) has no predict and no transform; it cannot be served")
    supported = supported_python()
    if model.python not in SpecifierSet(supported):
        raise DeploymentError(
            f"{model.id} was trained on Python {model.python}, and BentoML needs {supported}: train it in an "
            "environment with a newer Python, such as environment.python=3.11, to serve it"
        )
    model.verify()


def supported_python() -> str:
    """The versions of Python that BentoML runs on, as a specifier of PEP 440."""
    return str(metadata.metadata("bentoml")["Requires-Python"])


def service_settings(model: Model, deployment: Deployment) -> dict[str, Any]:
    """What the service reads beside the model: `service.json`."""
    resources = model.resource_configuration or {}
    size = deployment.size(cpu=resources.get("cpu"), memory_in_gb=resources.get("memory_in_gb"))
    return {
        "name": deployment.service_name(model.name),
        "scikit_learn": model.trained_with or model.framework_version,
        "workers": size.workers,
        "threads": size.threads,
        "timeout_s": deployment.timeout_s,
        "azure_default": deployment.azure_default,
        "trusted_types": [*TRUSTED_TYPES, *model.trusted_types],
        "max_concurrency": deployment.max_concurrency,
        "max_body_bytes": int(deployment.max_body_mb * 1_000_000),
        "auth": deployment.auth.value,
        "access_log": deployment.access_log,
        "onnx": deployment.onnx,
        "resources": size.resources,
    }


def _bentofile(model: Model, deployment: Deployment, settings: dict[str, Any]) -> dict[str, Any]:
    labels = {
        "model": model.name,
        "model_version": str(model.version),
        "run": model.run or "",
        "sha256": model.sha256,
    }
    text = model.description or f"{model.class_name}, trained with scikit-learn {settings['scikit_learn']}."
    return {
        "service": "amlcore_service.app:service",
        "name": settings["name"],
        "description": f"# {model.name}, version {model.version}\n\n{text}\n",
        "labels": labels,
        "include": ["*"],
        "python": {"requirements_txt": "./requirements.txt", "lock_packages": False},
        "docker": {
            "python_version": ".".join(model.python.split(".")[:2]),
            **({"base_image": deployment.base_image} if deployment.base_image else {}),
        },
    }


def _build(stage: Path, *, name: str) -> str:
    """Build in a process of its own, since BentoML changes directory, module table and logging of the one it is in.

    The version is chosen here: what BentoML prints is for people, coloured and wrapped as their terminal is.
    """
    version, temporary = _new_version(), stage.with_name("bentoml")  # swept with the stage
    temporary.mkdir()
    command = [sys.executable, "-m", "bentoml", "build", str(stage), "--version", version]
    environment = {**plain_environment(), "TMPDIR": str(temporary)}
    done = subprocess.run(
        command, cwd=stage, env=environment, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode != 0 or not (store() / name / version).is_dir():
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-10:]
        raise DeploymentError(f"BentoML could not build '{name}':\n" + "\n".join(said))
    return version


def _new_version() -> str:
    """Sixteen letters and digits, as BentoML's own versions are; later ones sort after earlier ones."""
    return f"{time.time_ns() // 1_000_000:011x}{secrets.token_hex(3)[:5]}"


def find_bento(tag: str) -> Bento:
    """The Bento NAME, NAME:latest or NAME:VERSION that amlcore packaged."""
    name, _, version = tag.partition(":")
    versions = list_bentos(name)
    if not versions:
        raise NotFoundError(f"there is no service '{name}'; {suggest(name, {bento.name for bento in list_bentos()})}")
    if version in ("", "latest"):
        return versions[0]
    for bento in versions:
        if bento.version == version:
            return bento
    numbers = [bento.version for bento in versions]
    raise NotFoundError(f"service '{name}' has no version '{version}'; {suggest(version, numbers)}")


def list_bentos(name: str | None = None) -> list[Bento]:
    """The Bentos in BentoML's store that amlcore packaged, of one name or of all, newest first."""
    # Not globbed by the name, which a user may have written as they like.
    found = [_read(path) for path in store().glob("*/*/bento.yaml") if name in (None, path.parent.parent.name)]
    return sorted((bento for bento in found if bento is not None), key=lambda bento: bento.created, reverse=True)


def store() -> Path:
    """Where BentoML keeps its Bentos."""
    if home := os.environ.get("BENTOML_HOME"):
        return Path(home) / "bentos"
    try:
        return Path.home() / "bentoml" / "bentos"
    except RuntimeError:
        words = "there is no home folder (HOME is not set); name BentoML's store in BENTOML_HOME"
        raise DeploymentError(words) from None


def _read(path: Path) -> Bento | None:
    """A Bento that amlcore packaged, by its own bento.yaml: asking BentoML costs half a second of import.

    None where it is another's, or cannot be read: the store is not ours.
    """
    try:
        # the C loader of libyaml where it was built in: a lock with its hashes is long
        about = yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        labels = about["labels"]
        if not labels.keys() >= OUR_LABELS:
            return None
        return Bento(about["name"], str(about["version"]), path.parent.absolute(), str(about["creation_time"]), labels)
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError, AttributeError):
        return None
