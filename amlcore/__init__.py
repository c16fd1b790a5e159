"""Run scikit-learn scripts on your own machines the way Azure ML does.

Names are imported on first use, so that `import amlcore` costs nothing.
"""

from typing import TYPE_CHECKING, Any

from amlcore.version import __version__

_HOMES = {
    "AmlcoreError": "amlcore.errors",
    "ComputeTarget": "amlcore.compute",
    "Deployment": "amlcore.serving.deployment",
    "Environment": "amlcore.azure.environment",
    "Experiment": "amlcore.azure.experiment",
    "Local": "amlcore.compute",
    "Model": "amlcore.azure.model",
    "ResourceConfiguration": "amlcore.model",
    "Run": "amlcore.azure.run",
    "ScriptRunConfig": "amlcore.script.run_config",
    "Service": "amlcore.serving.service",
    "Slurm": "amlcore.compute",
    "Workspace": "amlcore.azure.workspace",
}

__all__ = [
    "AmlcoreError",
    "ComputeTarget",
    "Deployment",
    "Environment",
    "Experiment",
    "Local",
    "Model",
    "ResourceConfiguration",
    "Run",
    "ScriptRunConfig",
    "Service",
    "Slurm",
    "Workspace",
    "__version__",
]

if TYPE_CHECKING:
    from amlcore.azure.environment import Environment
    from amlcore.azure.experiment import Experiment
    from amlcore.azure.model import Model
    from amlcore.azure.run import Run
    from amlcore.azure.workspace import Workspace
    from amlcore.compute import ComputeTarget, Local, Slurm
    from amlcore.errors import AmlcoreError
    from amlcore.model import ResourceConfiguration
    from amlcore.script.run_config import ScriptRunConfig
    from amlcore.serving.deployment import Deployment
    from amlcore.serving.service import Service


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'amlcore' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
