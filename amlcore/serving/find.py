"""Find: the service that a reference means in a workspace."""

from __future__ import annotations

from amlcore.errors import ModelError, NotFoundError
from amlcore.log import Log
from amlcore.model import find
from amlcore.serving.bento import Bento, find_bento, list_bentos
from amlcore.workspace import Workspace


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
