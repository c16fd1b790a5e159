"""MLflow over the record: an `amlcore:` address for tracking, models and artifacts, inside of a run and outside.

It runs in the script's interpreter with the script's own MLflow, 2.9 or newer, and imports it only when it is asked for
a store. Nothing but files is read and written, so no server and no database is needed.
"""

from amlcore.worker.mlflow.uris import SCHEME

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401


def tracking_store(store_uri=None, artifact_uri=None):  # noqa: ARG001 - the signature is MLflow's
    # type: (str | None, str | None) -> typing.Any
    """The tracking store at `store_uri`, as MLflow's entry point `mlflow.tracking_store` has it."""
    from amlcore.worker.mlflow.store import TrackingStore

    return TrackingStore(store_uri or SCHEME + ":")


def registry_store(store_uri=None, tracking_uri=None):  # noqa: ARG001 - the signature is MLflow's
    # type: (str | None, str | None) -> typing.Any
    """The models at `store_uri`, as MLflow's entry point `mlflow.model_registry_store` has it."""
    from amlcore.worker.mlflow.registry import RegistryStore

    return RegistryStore(store_uri or SCHEME + ":")


def artifact_repository(artifact_uri, *args, **kwargs):
    # type: (str, typing.Any, typing.Any) -> typing.Any
    """The files at `artifact_uri`, as MLflow's entry point `mlflow.artifact_repository` has it."""
    from amlcore.worker.mlflow.artifacts import repository

    return repository(artifact_uri, *args, **kwargs)
