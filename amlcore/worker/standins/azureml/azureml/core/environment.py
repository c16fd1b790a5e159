"""azureml.core.environment, by amlcore."""

from azureml.core import offered

Environment = offered("Environment")

__all__ = ["Environment"]
