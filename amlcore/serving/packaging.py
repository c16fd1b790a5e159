"""From a registered model to a service: its lock, its Bento, the interpreter that serves it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from amlcore.environment import build_lock
from amlcore.errors import DeploymentError, ModelError, NotFoundError
from amlcore.log import Log
from amlcore.model import Model, find
from amlcore.serving.bento import Bento, check_model, find_bento, is_here, list_bentos, package, service_settings
from amlcore.serving.deployment import Deployment
from amlcore.serving.keys import ServiceKeys
from amlcore.serving.locks import serving_lock
from amlcore.serving.proof import memory_warning, run_proof, summary, uses
from amlcore.serving.runtime.cores import cores
from amlcore.serving.runtime.paths.ensembles import ENSEMBLES
from amlcore.serving.service import Service, check_replaceable, list_services, start
from amlcore.workspace import Workspace

FAST = ("httptools", "uvloop", "orjson")
"""What makes a service fast, and what it does without where it does not fit beside the locked packages."""

OF_PATHS = {"trees": ("treelite",), "onnx": ("onnxruntime", "skl2onnx")}
"""What a predict path needs of its own."""


def package_model(workspace: Workspace, model: Model, deployment: Deployment, *, log: Log) -> Bento:
    """Package `model` as a new Bento; its requirements are the training lock with bentoml added.

    Raises
    ------
    BuildError
        bentoml does not fit beside the locked packages; the message names them.
    DeploymentError
        The model cannot be served, or not as `deployment` says.
    """
    deployment.check()
    check_model(model)
    settings = service_settings(model, deployment)
    path = "trees" if model.last_step in ENSEMBLES else "onnx" if deployment.onnx else None
    wishes = OF_PATHS.get(path or "", ())
    lock = _serving_lock(workspace, model, wishes=[*FAST, *wishes], log=log)
    proof = run_proof(model, settings, python=_python(workspace, lock, version=model.python, log=log))
    if path is not None and not uses(proof, path):
        lock = _serving_lock(workspace, model, wishes=[*FAST], log=log)
    refused = proof.pop("refused", None)
    if refused:
        log(f"warning: the service refuses {refused}")
    log(summary(proof, deployment))
    stated = deployment.memory_in_gb or (model.resource_configuration or {}).get("memory_in_gb")
    workers = settings["workers"] or cores()  # this machine's, until one serves it
    warning = memory_warning(proof, workers=workers, memory_in_gb=stated)
    if warning is not None:
        log(f"warning: {warning}")
    return package(model, deployment, serving_lock=lock, proof=proof)


def _serving_lock(workspace: Workspace, model: Model, *, wishes: list[str], log: Log) -> str:
    def python() -> Path:
        return _python(workspace, model.lock, version=model.python, log=log)

    return serving_lock(model, wishes, cache=workspace.environments_path, python=python, log=log)


def package_only(workspace: Workspace, models: Sequence[Model]) -> Bento:
    """Package exactly one model under its own name."""
    return package_model(workspace, _only(models), Deployment(), log=_to_stderr)


def deploy(
    workspace: Workspace,
    name: str,
    models: Sequence[Model] | Model,
    deployment: Deployment | None = None,
    *,
    overwrite: bool = False,
) -> Service:
    """Package exactly one model and serve it on loopback in the background.

    Raises
    ------
    DeploymentError
        A service of that name is running and `overwrite` is false, or the model cannot be served.
    """
    running = next((one for one in list_services(workspace.state_path / "services") if one.name == name), None)
    if running is not None and running.state != "Failed" and not overwrite:
        raise DeploymentError(
            f"service '{name}' is {running.state} already ({running.bento}); "
            f"deploy(…, overwrite=True) replaces it, service.delete() ends it"
        )
    check_replaceable(workspace.state_path / "services" / name)
    named = replace(deployment or Deployment(), name=name)
    bento = package_model(workspace, _only(models), named, log=_to_stderr)
    python = interpreter(workspace, bento, log=_to_stderr)
    keys = service_keys(workspace, bento)
    return start(bento, python=python, folder=workspace.state_path / "services" / name, keys=keys)


def service_keys(workspace: Workspace, bento: Bento) -> ServiceKeys | None:
    """The keys of a service that was packaged with deployment.auth=key; the first who asks makes them."""
    if not bento.needs_key:
        return None
    keys = ServiceKeys.of(workspace.state_path, bento.name)
    keys.read()  # another user's keys, or damaged ones, are said before anything starts
    return keys


def find_service(workspace: Workspace, reference: str, *, log: Log) -> Bento:
    """The Bento that a reference means in `workspace`: BentoML's store is that of all workspaces.

    NAME and NAME:latest mean the newest; VERSION is the Bento's own, or that of the model in it.

    Raises
    ------
    NotFoundError
        There is none, or only others packaged one under the name of a model that is registered here.
    """
    name, _, version = reference.partition(":")
    newest = version in ("", "latest")
    bentos = list_bentos(name)
    here = next((bento for bento in bentos if _is_of(workspace, bento)), None)
    if newest and here is not None:
        return here
    if version.isdecimal():
        of_model = (bento for bento in bentos if bento.model.endswith(f":{int(version)}") and _is_of(workspace, bento))
        if (bento_of_model := next(of_model, None)) is not None:
            return bento_of_model
    if newest and _has_model(workspace, name):
        others = f"; {bentos[0].tag} is another workspace's" if bentos else ""
        raise NotFoundError(f"model '{name}' is registered, and not packaged yet: aml deploy {name}{others}")
    bento = find_bento(reference)
    if not _is_of(workspace, bento):
        log(f"note: {bento.tag} is another workspace's: here is no model {bento.model} of run {bento.labels['run']}")
    return bento


def interpreter(workspace: Workspace, bento: Bento, *, log: Log) -> Path:
    """The Python that serves `bento` as its model was trained: this one if it has the same packages, else its own."""
    return _python(workspace, bento.lock, version=bento.python, log=log)


def _is_of(workspace: Workspace, bento: Bento) -> bool:
    """Whether the model in `bento` is registered in `workspace`."""
    try:
        model = find(workspace.models_path, bento.model)
    except (NotFoundError, ModelError):
        return False
    return (model.sha256, model.run or "") == (bento.labels["sha256"], bento.labels["run"])


def _has_model(workspace: Workspace, name: str) -> bool:
    try:
        find(workspace.models_path, name)
    except NotFoundError:
        return False
    return True


def _only(models: Sequence[Model] | Model) -> Model:
    if isinstance(models, Model):
        return models
    if len(models) != 1:
        raise DeploymentError(f"a service without code takes exactly one model, not {len(models)}")
    return models[0]


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


def _python(workspace: Workspace, lock: str, *, version: str, log: Log) -> Path:
    if is_here(lock, python=version):
        return Path(sys.executable)
    cache = workspace.environments_path
    return build_lock(lock, python_version=version, cache=cache, log=log, name="service").python
