"""azureml.core.experiment, by amlcore."""

from azureml.core import offered

Experiment = offered("Experiment")

__all__ = ["Experiment"]
