"""Bento: one packaging of a model in BentoML's own store, found by its name."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from amlcore.errors import DeploymentError, NotFoundError, suggest
from amlcore.serving.deployment import Auth

LATEST = "latest"  # the file beside the versions in which BentoML names the newest
OUR_LABELS = {"model", "model_version", "run", "sha256"}


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
