"""Where a model that is to be registered lies: in the outputs of a run."""

import os
from urllib.parse import unquote, urlsplit

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from amlcore.worker.layout import RunLayout
from amlcore.worker.mlflow.uris import SCHEME, file_uri_of, uri_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401


class ModelSource(object):
    """A model that a run wrote.

    Attributes
    ----------
    uri : str
        Where it is now.
    run, run_folder : str
        The id and the folder of the run.
    path : str
        Where it is in the folder of the run once that has ended: outputs/…
    """

    def __init__(self, root, source, model_id):
        # type: (str, str, str | None) -> None
        local = _local_path(root, source, model_id)
        folder = _run_folder(root, local)
        if folder is None:
            message = "{} is not in the outputs of a run of {}: a model is registered from its run"
            raise MlflowException(message.format(source, root), INVALID_PARAMETER_VALUE)
        self.uri = file_uri_of(local)
        self.run_folder = folder
        self.run = os.path.basename(folder)
        self.path = _path_after_run(os.path.relpath(local, folder))


def _local_path(root, source, model_id):
    # type: (str, str, str | None) -> str
    from amlcore.worker.mlflow.store import TrackingStore

    parts = urlsplit(source)
    if parts.scheme == "models" or (model_id and not source):
        model = TrackingStore(uri_of(root)).get_logged_model(model_id or parts.path.strip("/"))
        source = model.artifact_location
        parts = urlsplit(source)
    if parts.scheme == "runs":
        run, _, path = parts.path.strip("/").partition("/")
        source = TrackingStore(uri_of(root)).get_run(run).info.artifact_uri + "/" + path
        parts = urlsplit(source)
    if parts.scheme == SCHEME:
        from amlcore.worker.mlflow.artifacts import repository

        return str(repository(source).get_local_path(""))
    return os.path.abspath(unquote(parts.path))


def _run_folder(root, path):
    # type: (str, str) -> str | None
    """The folder of the run that holds `path`; None if there is none in the workspace."""
    folder = path
    while folder.startswith(os.path.join(root, "outputs", "")):
        if os.path.isfile(RunLayout(folder).run):
            return folder
        folder = os.path.dirname(folder)
    return None


def _path_after_run(path):
    # type: (str) -> str
    """Where a file of a run is in the end: its outputs are moved out of its working copy."""
    parts = path.split(os.sep)
    return "/".join(parts[3:] if parts[0] == "attempts" and parts[2:4] == ["work", "outputs"] else parts)
