"""azureml.core.run, by amlcore."""

from amlcore.worker.script.context import ScriptRun as Run

__all__ = ["Run"]
