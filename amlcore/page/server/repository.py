"""The artifacts of runs and of model versions, as MLflow's server asks for them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlflow.entities import FileInfo
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.store.artifact import artifact_repository_registry
from mlflow.store.artifact.artifact_repo import ArtifactRepository

from amlcore.page.server.shown_files import ShownFiles, model_files, run_files
from amlcore.worker.mlflow.uris import SCHEME
from amlcore.workspace import Workspace


def register(workspace: Workspace) -> None:
    """Have this process open the addresses of files by what may be shown of `workspace`, and by nothing else."""

    class Repository(ShownArtifacts):
        root = workspace

    for scheme in ("file", SCHEME):
        artifact_repository_registry._artifact_repository_registry.register(scheme, Repository)


class ShownArtifacts(ArtifactRepository):  # type: ignore[misc]
    """What may be shown of the folder of a run or of a model version."""

    root: Workspace

    def __init__(self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        # not that of the base class, which starts a queue and a pool of threads for each request
        self.artifact_uri, self.tracking_uri, self.registry_uri = artifact_uri, tracking_uri, registry_uri
        self._files = self._open(Path(unquote(urlsplit(artifact_uri).path)))

    def _open(self, folder: Path) -> ShownFiles:
        if folder.is_relative_to(self.root.models_path):
            name, version = folder.relative_to(self.root.models_path).parts[:2]
            return model_files(self.root.models_path / name / version)
        if folder.is_relative_to(self.root.outputs_path):
            return run_files(folder)
        return ShownFiles([])

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        return [FileInfo(entry.path, entry.is_folder, entry.size_bytes) for entry in self._files.entries(path or "")]

    def get_local_path(self, artifact_path: str) -> str:
        file = self._files.find(artifact_path)
        if file is None:
            raise MlflowException(f"{artifact_path}: there is no such file", RESOURCE_DOES_NOT_EXIST)
        return str(file)
