"""azureml.core.workspace, by amlcore."""

from azureml.core import offered

Workspace = offered("Workspace")

__all__ = ["Workspace"]
