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
from amlcore.record.ownership import owner_of
from amlcore.record.reading import SAFE_LOADER
from amlcore.serving.deployment import Auth

LATEST = "latest"  # BentoML's file next to the versions that contains the newest
MAX_SHOWN = 10
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
        """The command that serves it in the environment of its model."""
        return f"aml serve {self.tag}"

    @property
    def lock(self) -> str:
        """The lock of the packages that serve it."""
        # not env/python/requirements.txt, to which BentoML adds a line without a hash
        path = self.path / "src" / "requirements.txt"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DeploymentError(f"{self.tag}: {path} cannot be read: {error.strerror}") from None
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 != self._read_json("service.json").get("lock_sha256", sha256):
            raise DeploymentError(f"{self.tag}: {path} has changed since it was packaged; package the model again")
        return content.decode("utf-8")

    @property
    def python(self) -> str:
        """The version of Python that its model was trained on."""
        return str(self._read_json("model/model.json")["python"])

    @property
    def needs_key(self) -> bool:
        """Whether a request needs one of the service's keys."""
        return bool(self._read_json("service.json").get("auth") == Auth.key)

    @property
    def route(self) -> str:
        """The path of the model's main method: `/transform` if it has no predict."""
        return "/predict" if "predict" in self._read_json("model/model.json")["methods"] else "/transform"

    def _read_json(self, name: str) -> dict[str, Any]:
        """A JSON file of the Bento."""
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
    bentos = list_bentos(name)
    if not bentos:
        check_readable(name)
        raise NotFoundError(f"there is no service '{name}'; {suggest(name, {bento.name for bento in list_bentos()})}")
    if version in ("", "latest"):
        return bentos[0]
    for bento in bentos:
        if bento.version == version:
            return bento
    models = sorted({bento.labels["model_version"] for bento in bentos}, key=lambda number: (len(number), number))
    raise NotFoundError(
        f"service '{name}' has no version '{version}'; model versions: {_shown(models[::-1])}; Bento versions: "
        f"{_shown([bento.version for bento in bentos])}"
    )


def _shown(versions: list[str]) -> str:
    """`versions`, newest first, as many as fit on a line."""
    more = len(versions) - MAX_SHOWN
    return ", ".join(versions[:MAX_SHOWN]) + (f" and {more} older" if more > 0 else "")


def check_readable(name: str) -> None:
    """Raise DeploymentError if Bentos of `name` are in the store, and this user may not read them."""
    try:
        folders = [folder for folder in store().iterdir() if folder.name == name]
        unreadable = [
            path
            for folder in folders
            for path in (folder, *folder.iterdir())
            if path.is_dir() and not os.access(path, os.R_OK | os.X_OK)
        ]
    except PermissionError as error:
        unreadable = [Path(str(error.filename))]
    except OSError:
        return
    if unreadable:
        owner = owner_of(unreadable[0])
        raise DeploymentError(
            f"service '{name}': {unreadable[0]} belongs to {owner} and you cannot read it; ask them for access, or "
            "package the model in your own store (set BENTOML_HOME)"
        )


def check_writable(name: str) -> None:
    """Raise DeploymentError if this user cannot add a Bento of `name` to the store."""
    folder = store() / name
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DeploymentError(
            f"service '{name}': {folder} belongs to {owner_of(folder)} and you cannot write to it; set BENTOML_HOME to "
            "your own folder"
        )


def list_bentos(name: str | None = None) -> list[Bento]:
    """The Bentos in BentoML's store that amlcore packaged, of one name or of all, newest first."""
    # the name is not part of the pattern: what a user typed may contain * or ..
    bentos = [_read(path) for path in store().glob("*/*/bento.yaml") if name in (None, path.parent.parent.name)]
    return sorted((bento for bento in bentos if bento is not None), key=lambda bento: bento.created, reverse=True)


def store() -> Path:
    """Where BentoML keeps its Bentos."""
    if home := os.environ.get("BENTOML_HOME"):
        return Path(home) / "bentos"
    try:
        return Path.home() / "bentoml" / "bentos"
    except RuntimeError:
        raise DeploymentError("HOME is not set; set BENTOML_HOME to the folder of BentoML's store") from None


def _read(path: Path) -> Bento | None:
    """A Bento that amlcore packaged, read from its bento.yaml: importing BentoML takes half a second.

    None if another program built it, or it cannot be read: the store is not ours.
    """
    try:
        about = yaml.load(path.read_text(encoding="utf-8"), Loader=SAFE_LOADER)
        labels = about["labels"]
        if not labels.keys() >= OUR_LABELS:
            return None
        return Bento(about["name"], str(about["version"]), path.parent.absolute(), str(about["creation_time"]), labels)
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError, AttributeError):
        return None
