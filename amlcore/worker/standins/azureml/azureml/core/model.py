"""azureml.core.model, by amlcore."""

from azureml.core import offered

Model = offered("Model")

__all__ = ["Model"]
