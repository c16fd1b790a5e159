"""The tracking store behind `amlcore:` addresses, whole."""

from amlcore.worker.mlflow.logged_models import LoggedModelStore
from amlcore.worker.mlflow.not_implemented import answers_all


@answers_all
class TrackingStore(LoggedModelStore):
    """Reads and writes the runs of a workspace."""
