"""azureml.core.resource_configuration, by amlcore."""

from azureml.core import offered

ResourceConfiguration = offered("ResourceConfiguration")

__all__ = ["ResourceConfiguration"]
