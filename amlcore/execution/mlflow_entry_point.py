"""The registry as amlcore's entry point names it: MLflow loads this file at import, so it imports nothing itself."""

from __future__ import annotations

from typing import Any


def registry_store(store_uri: str | None = None, tracking_uri: str | None = None) -> Any:  # noqa: ARG001  MLflow's
    """The models at `store_uri`."""
    from amlcore.execution.mlflow_registry import WorkspaceRegistry

    return WorkspaceRegistry(store_uri or "amlcore:")
