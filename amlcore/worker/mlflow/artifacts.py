"""The files of runs and of registered models as MLflow sees them."""

import os

from mlflow.entities import FileInfo
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from amlcore.worker.layout import RunLayout
from amlcore.worker.mlflow.not_implemented import not_implemented
from amlcore.worker.mlflow.uris import file_uri_of, path_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

BESIDE = ("images", "logs")


def repository(artifact_uri, *args, **kwargs):
    # type: (str, typing.Any, typing.Any) -> FolderArtifacts
    """The files at an address: those of a run if it is in one, otherwise a folder that nobody writes to."""
    kind = FolderArtifacts if _run_of(path_of(artifact_uri)) is None else RunArtifacts
    return kind(artifact_uri, *args, **kwargs)


class FolderArtifacts(ArtifactRepository):
    """The files of a folder. What is downloaded is a copy, since MLflow adds a file to each model that it loads."""

    def __init__(self, artifact_uri, *args, **kwargs):
        # type: (str, typing.Any, typing.Any) -> None
        super(FolderArtifacts, self).__init__(artifact_uri, *args, **kwargs)
        self._path = path_of(artifact_uri)

    def log_artifact(self, local_file, artifact_path=None):
        raise not_implemented("the files of a registered model never change")

    def log_artifacts(self, local_dir, artifact_path=None):
        raise not_implemented("the files of a registered model never change")

    def list_artifacts(self, path=None):
        home, below, prefix = self._place(path)
        return [
            FileInfo(file.path[len(prefix) :], file.is_dir, file.file_size)
            for file in LocalArtifactRepository(file_uri_of(home)).list_artifacts(below or None)
        ]

    def get_local_path(self, artifact_path):
        home, below, _ = self._place(artifact_path)
        return LocalArtifactRepository(file_uri_of(home)).download_artifacts(below)

    def _download_file(self, remote_file_path, local_path):
        home, below, _ = self._place(remote_file_path)
        LocalArtifactRepository(file_uri_of(home))._download_file(below, local_path)

    def _place(self, path):
        # type: (str | None) -> tuple[str, str, str]
        """The folder that holds the file or folder `path`, the path in it, and what of that MLflow does not name."""
        return self._path, "" if path in (None, ".") else str(path), ""


class RunArtifacts(FolderArtifacts):
    """The outputs of a run, in its working copy or in its record, and beside them its images and logs."""

    def __init__(self, artifact_uri, *args, **kwargs):
        # type: (str, typing.Any, typing.Any) -> None
        super(RunArtifacts, self).__init__(artifact_uri, *args, **kwargs)
        self._folder = _run_of(self._path) or self._path
        self._below = "" if self._path == self._folder else os.path.relpath(self._path, self._folder)

    def log_artifact(self, local_file, artifact_path=None):
        self._local(artifact_path).log_artifact(local_file)

    def log_artifacts(self, local_dir, artifact_path=None):
        self._local(artifact_path).log_artifacts(local_dir)

    def delete_artifacts(self, artifact_path=None):
        self._local(artifact_path).delete_artifacts()

    def list_artifacts(self, path=None):
        files = super(RunArtifacts, self).list_artifacts(path)
        if not self._joined(path):
            names = {file.path for file in files}
            files += [FileInfo(name, True, None) for name in BESIDE if name not in names and self._has(name)]
        return sorted(files, key=lambda file: file.path)

    def _place(self, path):
        below, outputs = self._joined(path), outputs_of(self._folder)
        is_beside = below.split("/")[0] in BESIDE and not os.path.exists(os.path.join(outputs, below))
        return (self._folder if is_beside else outputs), below, self._below + "/" if self._below else ""

    def _joined(self, path):
        # type: (str | None) -> str
        return "/".join(part for part in (self._below, path) if part not in (None, "", "."))

    def _local(self, path):
        # type: (str | None) -> typing.Any
        return LocalArtifactRepository(file_uri_of(os.path.join(outputs_of(self._folder), self._joined(path))))

    def _has(self, name):
        # type: (str) -> bool
        folder = os.path.join(self._folder, name)
        return os.path.isdir(folder) and bool(os.listdir(folder))


def outputs_of(folder):
    # type: (str) -> str
    """Where the outputs of the run in `folder` are now: of a run in progress in the copy of its newest attempt."""
    layout = RunLayout(folder)
    try:
        newest = max((int(name) for name in os.listdir(layout.attempts) if name.isdigit()), default=None)
    except OSError:
        newest = None
    if newest is not None and os.path.isdir(layout.attempt(newest).outputs):
        return layout.attempt(newest).outputs
    return layout.outputs


def _run_of(path):
    # type: (str) -> str | None
    """The folder of the run that `path` is in."""
    while not os.path.isfile(RunLayout(path).run):
        path, name = os.path.split(path)
        if not name:
            return None
    return path
