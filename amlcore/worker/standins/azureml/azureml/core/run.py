"""azureml.core.run, by amlcore."""

from amlcore.worker.context import Run

__all__ = ["Run"]
