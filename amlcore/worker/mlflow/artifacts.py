"""The files of a run as MLflow lists them: its outputs, and beside them its images and logs."""

import os

from mlflow.entities import FileInfo
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from amlcore.worker.layout import RunLayout
from amlcore.worker.mlflow.uris import file_uri_of, path_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

BESIDE = ("images", "logs")


class RunArtifacts(ArtifactRepository):
    """The outputs of a run, whether they lie in its working copy still or in its record, and nothing else of it."""

    def __init__(self, artifact_uri, *args, **kwargs):
        # type: (str, typing.Any, typing.Any) -> None
        super(RunArtifacts, self).__init__(artifact_uri, *args, **kwargs)
        self._folder, self._below = _split(path_of(artifact_uri))

    def log_artifact(self, local_file, artifact_path=None):
        self._local(self._joined(artifact_path)).log_artifact(local_file)

    def log_artifacts(self, local_dir, artifact_path=None):
        self._local(self._joined(artifact_path)).log_artifacts(local_dir)

    def list_artifacts(self, path=None):
        path = None if path in (None, "", ".") else path
        home, below = self._home(path)
        prefix = self._below + "/" if self._below else ""
        files = [
            FileInfo(file.path[len(prefix) :], file.is_dir, file.file_size)
            for file in LocalArtifactRepository(file_uri_of(home)).list_artifacts(below or None)
        ]
        if not below:
            names = {file.path for file in files}
            files += [FileInfo(name, True, None) for name in BESIDE if name not in names and self._has(name)]
        return sorted(files, key=lambda file: file.path)

    def get_local_path(self, artifact_path):
        home, below = self._home(artifact_path)
        return LocalArtifactRepository(file_uri_of(home)).download_artifacts(below)

    def download_artifacts(self, artifact_path, dst_path=None, *args, **kwargs):
        home, below = self._home(artifact_path)
        return LocalArtifactRepository(file_uri_of(home)).download_artifacts(below, dst_path, *args, **kwargs)

    def _download_file(self, remote_file_path, local_path):
        home, below = self._home(remote_file_path)
        LocalArtifactRepository(file_uri_of(home))._download_file(below, local_path)

    def delete_artifacts(self, artifact_path=None):
        self._local(self._joined(artifact_path)).delete_artifacts()

    def _joined(self, path):
        # type: (str | None) -> str
        return "/".join(part for part in (self._below, path) if part)

    def _local(self, below):
        # type: (str) -> typing.Any
        return LocalArtifactRepository(file_uri_of(os.path.join(outputs_of(self._folder), below)))

    def _home(self, path):
        # type: (str | None) -> tuple[str, str]
        """The folder that holds the file or folder `path`, and the path in it."""
        below, outputs = self._joined(path), outputs_of(self._folder)
        is_beside = below.split("/")[0] in BESIDE and not os.path.exists(os.path.join(outputs, below))
        return (self._folder if is_beside else outputs), below

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


def _split(path):
    # type: (str) -> tuple[str, str]
    """The folder of the run that `path` is in, and the rest of it."""
    folder, below = path, []  # type: str, list[str]
    while not os.path.isfile(RunLayout(folder).run):
        folder, name = os.path.split(folder)
        if not name:
            return path, ""
        below.insert(0, name)
    return folder, "/".join(below)
