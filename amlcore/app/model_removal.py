"""What `aml models rm` does: versions that no alias and no service uses are removed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from amlcore.errors import RequestError
from amlcore.model.removal import find_removable, remove_version
from amlcore.serving.bento import Bento
from amlcore.serving.find import bentos_of
from amlcore.serving.service import list_services
from amlcore.workspace import Workspace


def remove_models(workspace: Workspace, references: Sequence[str], *, why: str | None) -> list[str]:
    """Remove versions for good, all or none; their ids come back.

    Raises
    ------
    RequestError
        An alias, a running service or a Bento uses one of them.
    """
    folders = list(dict.fromkeys(find_removable(workspace.models_path, reference) for reference in references))
    for folder in folders:
        _check_not_served(workspace, folder)
    for folder in folders:
        remove_version(folder, why=why)
    return [f"{folder.parent.name}:{folder.name}" for folder in folders]


def _check_not_served(workspace: Workspace, folder: Path) -> None:
    model = f"{folder.parent.name}:{folder.name}"
    bentos = bentos_of(workspace, model)
    tags = {bento.tag for bento in bentos}
    for service in list_services(workspace.state_path / "services"):
        if service.bento in tags:
            raise RequestError(
                f"{model} is what service '{service.name}' serves; in Python, delete the service first: "
                f"Workspace.from_config().services['{service.name}'].delete()"
            )
    if bentos:
        raise RequestError(f"{model} is packaged as {_shown(bentos)}; delete it first, with: {_deletion(bentos)}")


def _shown(bentos: Sequence[Bento]) -> str:
    return " and ".join(bento.tag for bento in bentos)


def _deletion(bentos: Sequence[Bento]) -> str:
    return " && ".join(f"bentoml delete {bento.tag}" for bento in bentos)
