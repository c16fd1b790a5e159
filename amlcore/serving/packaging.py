"""Packaging: a registered model becomes a Bento, with the lock of its service and the proof of its fast paths."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import fields
from pathlib import Path
from typing import Any

from amlcore.environment.temporary_folder import temporary_folder
from amlcore.errors import AmlcoreError, DeploymentError, ExecutionError, ModelError
from amlcore.log import Log, timed
from amlcore.model import Model
from amlcore.model.trusted_types import TRUSTED_TYPES
from amlcore.record.ownership import open_within
from amlcore.serving.bento import LATEST, Bento, check_writable, find_bento, store
from amlcore.serving.bento_build import bentofile, build
from amlcore.serving.deployment import Deployment, supported_python
from amlcore.serving.interpreter import find_interpreter
from amlcore.serving.locks import serving_lock
from amlcore.serving.proof_process import copy_service, memory_warning, run_proof, summary, uses
from amlcore.serving.runtime.cores import cores
from amlcore.serving.runtime.paths.ensembles import ENSEMBLES
from amlcore.worker import durable
from amlcore.worker.files import write_json
from amlcore.worker.full_disk import FULL_DISK_ERRNOS
from amlcore.workspace import Workspace

FAST = ("httptools", "uvloop", "orjson")
"""Packages that make a service fast; it runs without those that conflict with the locked packages."""

OF_PATHS = {"trees": ("treelite",), "onnx": ("onnxruntime", "skl2onnx")}
"""The packages of a separate fast path."""

FULL_DISK_MESSAGES = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))
"""How uv, BentoML and the proof's process report a full disk: they pass on no error number."""


@timed
def package_model(workspace: Workspace, model: Model, deployment: Deployment, *, log: Log) -> Bento:
    """Package `model` as a new Bento; its requirements are the training lock with bentoml added.

    Raises
    ------
    BuildError
        bentoml conflicts with the locked packages; the message lists them.
    DeploymentError
        The model cannot be served, or not as `deployment` says.
    ModelError
        Its files are not those that were registered.
    ExecutionError
        A disk is full.
    """
    settings = service_settings(model, deployment)
    check_writable(settings["name"])
    with _explaining_full_disk(model, deployment, cache=workspace.environments_path), staged(model) as staged_model:
        path = "trees" if model.last_step in ENSEMBLES else "onnx" if deployment.onnx else None
        wishes = OF_PATHS.get(path or "", ())
        lock = _serving_lock(workspace, model, wishes=[*FAST, *wishes], log=log)
        python = find_interpreter(workspace, lock, version=model.python, log=log)
        proof = run_proof(staged_model, settings, python=python)
        if path is not None and not uses(proof, path):
            lock = _serving_lock(workspace, model, wishes=[*FAST], log=log)
        _report(proof, model, deployment, settings, log=log)
        return package(staged_model, deployment, settings, lock=lock, proof=proof, original=model.folder)


def package_only(workspace: Workspace, models: Sequence[Model] | Model) -> Bento:
    """Package exactly one model under its own name."""
    return package_model(workspace, single_model(models), Deployment(), log=log_to_stderr)


def single_model(models: Sequence[Model] | Model) -> Model:
    if isinstance(models, Model):
        return models
    if len(models) != 1:
        raise DeploymentError(f"a service without an entry script takes exactly one model, not {len(models)}")
    return models[0]


def log_to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


@contextmanager
def staged(model: Model) -> Iterator[Model]:
    """A verified copy of `model`, in the folder that its Bento is built from.

    The copy is hashed, not the original: so what is proven and packaged is what was verified, and each file is hashed
    only once.

    Raises
    ------
    ModelError
        A file is not the one that was registered.
    """
    with temporary_folder("bento") as folder:
        copied = copy(model)
        copied.folder = folder / "model"
        try:
            _copy_tree(model.folder, copied.folder)
            copied.verify()
        except ModelError as error:
            raise ModelError(str(error).replace(str(copied.folder), str(model.folder))) from None
        yield copied


@contextmanager
def _explaining_full_disk(model: Model, deployment: Deployment, *, cache: Path) -> Iterator[None]:
    """Raise what a full disk caused, here or in a child process, as one error that says how to repeat the packaging."""
    try:
        yield
    except (AmlcoreError, OSError) as error:
        if getattr(error, "errno", None) not in FULL_DISK_ERRNOS and not any(
            message in str(error) for message in FULL_DISK_MESSAGES
        ):
            raise
        folders = {folder: _free_bytes(folder) for folder in (Path(tempfile.gettempdir()), store(), cache)}
        fullest = min(folders, key=lambda folder: folders[folder])
        options = [
            f" deployment.{field.name}={getattr(deployment, field.name)}"
            for field in fields(deployment)
            if getattr(deployment, field.name) != field.default
        ]
        raise ExecutionError(
            f"the disk is full: {fullest} has {folders[fullest] / 1e6:.0f} MB left, so {model.id} was not packaged; "
            f"free some space, then: aml deploy {model.id}{''.join(options)}"
        ) from error


def _free_bytes(folder: Path) -> int:
    """The free bytes of the filesystem that will contain `folder`, which may not exist yet."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _copy_tree(source: Path, target: Path) -> None:
    """Copy a folder; shutil.copytree's own error would hide the error number of a full disk."""
    target.mkdir()
    for path in sorted(source.iterdir()):
        if path.is_dir():
            _copy_tree(path, target / path.name)
        else:
            shutil.copy2(path, target / path.name)


def _serving_lock(workspace: Workspace, model: Model, *, wishes: list[str], log: Log) -> str:
    def python() -> Path:
        return find_interpreter(workspace, model.lock, version=model.python, log=log)

    return serving_lock(model, wishes, cache=workspace.environments_path, python=python, log=log)


def _report(proof: dict[str, Any], model: Model, deployment: Deployment, settings: dict[str, Any], *, log: Log) -> None:
    """Tell the user how the service will answer, and what is wrong with it."""
    refused = proof.pop("refused", None)
    if refused:
        log(f"warning: the service refuses {refused}")
    log(summary(proof, deployment))
    memory_in_gb = deployment.memory_in_gb or (model.resource_configuration or {}).get("memory_in_gb")
    workers = settings["workers"] or cores()  # this machine's, until another serves it
    warning = memory_warning(proof, workers=workers, memory_in_gb=memory_in_gb)
    if warning is not None:
        log(f"warning: {warning}")


def package(
    staged_model: Model,
    deployment: Deployment,
    settings: dict[str, Any],
    *,
    lock: str,
    proof: dict[str, Any] | None,
    original: Path,
) -> Bento:
    """Build a new version of the service's Bento.

    Parameters
    ----------
    staged_model : Model
        A verified copy, as `staged` gives it; the Bento is built in the folder that holds it.
    settings : dict
        As `service_settings` gives them.
    lock : str
        The training lock with bentoml added.
    proof : dict, optional
        As `run_proof` gives it; without one the service has no fast path.
    original : Path
        The model's own folder, models/NAME/VERSION: who may not enter it may not enter the Bento either.
    """
    stage, name = staged_model.folder.parent, str(settings["name"])
    copy_service(stage)
    sealed = {**settings, "lock_sha256": hashlib.sha256(lock.encode()).hexdigest()}
    write_json(str(stage / "service.json"), sealed)
    if proof is not None:
        write_json(str(stage / "proof.json"), proof)
    (stage / "requirements.txt").write_text(lock)
    (stage / "bentofile.yaml").write_text(bentofile(staged_model, deployment, settings))
    version = build(stage, name=name)
    # BentoML builds in a private temporary folder, whose mode would keep out those who may read model and store.
    open_within(store() / name / version, (original, *original.parents[:3]))
    bento = find_bento(f"{name}:{version}")
    durable.sync_tree(bento.path, bento.path.parent / LATEST)
    durable.sync_parents(bento.path, bento.path.parents[3])  # as far as the folder that holds the store
    return bento


def service_settings(model: Model, deployment: Deployment) -> dict[str, Any]:
    """What the service reads in addition to the model: `service.json`.

    Raises
    ------
    DeploymentError
        The model cannot be served, or not as `deployment` says.
    """
    deployment.check()
    check_servable(model)
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


def check_servable(model: Model) -> None:
    """Raise DeploymentError if BentoML cannot serve `model`."""
    from packaging.specifiers import SpecifierSet

    if model.framework != model.Framework.SCIKITLEARN:
        raise DeploymentError(f"{model.id} is a {model.framework} model; only ScikitLearn models can be packaged")
    if not {"predict", "transform"} & set(model.methods):
        raise DeploymentError(
            f"{model.id} ({model.class_name}) has neither predict nor transform, so it cannot be served"
        )
    columns = model.signature.get("lost_categories")
    if columns:
        raise DeploymentError(
            f"{model.id} was trained on pandas categories in {', '.join(map(repr, columns))} and its library did not "
            "keep them, so no request could be read as in training; call run.log_sample(X) in the script and register "
            "again"
        )
    supported = supported_python()
    if model.python not in SpecifierSet(supported):
        raise DeploymentError(
            f"{model.id} was trained on Python {model.python}, but BentoML needs {supported}; to serve it, train it in "
            "an environment with a newer Python, such as environment.python=3.11"
        )
