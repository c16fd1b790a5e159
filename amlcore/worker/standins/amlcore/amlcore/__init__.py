"""Stands in for amlcore in an environment that has none: what a script needs of it, and a plain word about the rest."""

import os
import sys
import types

_HERE = os.path.dirname(os.path.abspath(__file__))
__path__ = [os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(_HERE))))]

from amlcore.worker.script.context import Run  # noqa: E402

__all__ = ["Run"]

DRIVER_NAMES = (
    "AmlcoreError",
    "ComputeTarget",
    "Deployment",
    "Environment",
    "Experiment",
    "Local",
    "Model",
    "ResourceConfiguration",
    "ScriptRunConfig",
    "Service",
    "Slurm",
    "Workspace",
)


class _StandIn(types.ModuleType):
    def __getattr__(self, name):
        if name in DRIVER_NAMES:
            raise ImportError(
                "{} is not here: this environment has no amlcore, which stands in with Run alone; "
                "use `from amlcore import {}` where amlcore is installed".format(name, name)
            )
        raise AttributeError("module 'amlcore' has no attribute '{}'".format(name))


sys.modules[__name__].__class__ = _StandIn
