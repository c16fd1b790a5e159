"""The models of a workspace for MLflow where amlcore itself is installed, such as in a notebook: registered at once."""

from __future__ import annotations

import os
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from amlcore.errors import AmlcoreError
from amlcore.execution.publication import register
from amlcore.model import Model, Registration
from amlcore.model.aliases import set_alias, unset_alias
from amlcore.model.registry import register_file
from amlcore.record.record import Record
from amlcore.worker.mlflow.model_source import ModelSource
from amlcore.worker.mlflow.registry import RegistryStore


class WorkspaceRegistry(RegistryStore):
    """Registers models of runs that have ended, and moves aliases."""

    def register(self, name: str, model: ModelSource, description: str, tags: dict[str, str]) -> int:
        """Register a model; returns its version. This interpreter has trained what a notebook's run wrote."""
        registration = Registration(name=name, path=model.path, description=description, tags=tags)
        record = Record(Path(model.run_folder))
        try:
            is_submitted = os.path.exists(record.layout.config) or record.info.parent is not None
            registered: Model = (
                register(record, registration)
                if is_submitted
                else register_file(record.folder / model.path, registration, models=record.workspace_path / "models")
            )
        except AmlcoreError as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from None
        return registered.version

    def move_alias(self, name: str, alias: str, version: int | None) -> None:
        models = Path(self.models)
        try:
            if version is None:
                unset_alias(models, name, alias)
            else:
                set_alias(models, name, alias, version, how="mlflow")
        except AmlcoreError as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from None
