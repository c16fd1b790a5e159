"""Stands in for amlcore in an environment without it: Run, and a clear error for all other names."""

import os
import sys
import types

_HERE = os.path.dirname(os.path.abspath(__file__))
__path__ = [os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(_HERE))))]

from amlcore.worker.script.context import ScriptRun as Run  # noqa: E402

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
                "{} is not available: amlcore is not installed in this environment, and its stand-in has only Run; "
                "use `from amlcore import {}` where amlcore is installed".format(name, name)
            )
        raise AttributeError("module 'amlcore' has no attribute '{}'".format(name))


sys.modules[__name__].__class__ = _StandIn
