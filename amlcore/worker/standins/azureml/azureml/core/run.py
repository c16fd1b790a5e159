"""azureml.core.run, by amlcore."""

from amlcore.worker.script.context import Run

__all__ = ["Run"]
