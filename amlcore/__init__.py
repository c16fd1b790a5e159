"""What Azure ML does for a scikit-learn script, on your own machines.

Names are imported when they are first used, so that `import amlcore` costs nothing.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "AmlcoreError": "amlcore.errors",
    "ComputeTarget": "amlcore.compute",
    "Deployment": "amlcore.serving",
    "Environment": "amlcore.environment",
    "Experiment": "amlcore.azure.experiment",
    "Local": "amlcore.compute",
    "Model": "amlcore.model",
    "ResourceConfiguration": "amlcore.model",
    "Run": "amlcore.runs.run",
    "ScriptRunConfig": "amlcore.script.run_config",
    "Service": "amlcore.serving",
    "Slurm": "amlcore.compute",
    "Workspace": "amlcore.workspace",
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
    from amlcore.azure.experiment import Experiment
    from amlcore.compute import ComputeTarget, Local, Slurm
    from amlcore.environment import Environment
    from amlcore.errors import AmlcoreError
    from amlcore.model import Model, ResourceConfiguration
    from amlcore.runs.run import Run
    from amlcore.script.run_config import ScriptRunConfig
    from amlcore.serving import Deployment, Service
    from amlcore.workspace import Workspace


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'amlcore' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
