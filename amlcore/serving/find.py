"""Find: the service that a reference means in a workspace."""

from __future__ import annotations

from amlcore.errors import ModelError, NotFoundError
from amlcore.log import Log
from amlcore.model import find
from amlcore.model.reference import ModelReference
from amlcore.serving.bento import Bento, check_readable, find_bento, list_bentos
from amlcore.workspace import Workspace


def find_service(workspace: Workspace, reference: str, *, log: Log) -> Bento:
    """The Bento that a reference means in `workspace`; all workspaces share BentoML's store.

    NAME and NAME:latest mean the newest; VERSION is that of the Bento, or of the model in it. NAME@ALIAS means the
    newest Bento of the version that the alias means; NAME is that of the model or of the service.

    Raises
    ------
    NotFoundError
        The service does not exist, or only another workspace packaged one under the name of a registered model.
    DeploymentError
        It belongs to a user who lets nobody else read it.
    """
    if ModelReference.parse(reference).alias is not None:
        return _find_by_alias(workspace, reference)
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
    is_packaged = any(version == bento.version for bento in bentos)
    model = name if newest else reference
    if (newest or version.isdecimal()) and not is_packaged and _has_model(workspace, model):
        check_readable(name)
        others = f"; {bentos[0].tag} belongs to another workspace" if bentos and newest else ""
        raise NotFoundError(
            f"model '{model}' is registered but not packaged; package it with: aml deploy {model}{others}"
        )
    bento = find_bento(reference)
    if not _is_of(workspace, bento):
        log(
            f"note: {bento.tag} belongs to another workspace: this one has no model {bento.model} of run "
            f"{bento.labels['run']}"
        )
    return bento


def bentos_of(workspace: Workspace, model: str) -> list[Bento]:
    """The Bentos of the model NAME:VERSION of this workspace, newest first."""
    return [bento for bento in list_bentos() if bento.model == model and _is_of(workspace, bento)]


def _find_by_alias(workspace: Workspace, reference: str) -> Bento:
    """The newest Bento of the version that NAME@ALIAS means, one of a service called NAME before others."""
    wanted = ModelReference.parse(reference)
    bentos = [bento for bento in list_bentos() if _is_of(workspace, bento)]
    named = next((bento for bento in bentos if bento.name == wanted.name), None)
    if _has_model(workspace, wanted.name) or named is None:
        model = find(workspace.models_path, reference)
    else:
        model = find(workspace.models_path, f"{named.labels['model']}@{wanted.alias}")
    of_model = [bento for bento in bentos if bento.model == model.id]
    if not of_model:
        raise NotFoundError(
            f"{model.name}@{wanted.alias} means {model.id}, which is registered but not packaged; package it with: "
            f"aml deploy {model.name}@{wanted.alias}"
        )
    return next((bento for bento in of_model if bento.name == wanted.name), of_model[0])


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
