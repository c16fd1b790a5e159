"""azureml.core.script_run_config, by amlcore."""

from azureml.core import offered

ScriptRunConfig = offered("ScriptRunConfig")

__all__ = ["ScriptRunConfig"]
