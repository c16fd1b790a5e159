"""amlcore under the name azureml.core: Run everywhere, the rest only if amlcore is installed."""

import sys
import types

from amlcore.worker.script.context import ScriptRun as Run

__all__ = ["Run"]

OFFERED = (
    "ComputeTarget",
    "Environment",
    "Experiment",
    "Model",
    "ResourceConfiguration",
    "ScriptRunConfig",
    "Workspace",
)

UNSUPPORTED = (
    "ContainerRegistry",
    "Dataset",
    "Datastore",
    "Image",
    "Keyvault",
    "LinkedService",
    "PrivateEndPoint",
    "RunConfiguration",
    "Webservice",
)


def offered(name):
    """The object `name` of amlcore; raises an ImportError that says what to use instead."""
    import amlcore

    try:
        return getattr(amlcore, name)
    except (AttributeError, ImportError):
        pass
    instead = (
        "a script reads its files from script.inputs" if name in ("Dataset", "Datastore") else "it has no such name"
    )
    if name in OFFERED:
        instead = "use `from amlcore import {}` where amlcore is installed".format(name)
    raise ImportError(
        "azureml.core.{} is not available: amlcore stands in for azureml here, and offers Run to scripts; {}".format(
            name, instead
        )
    )


class _StandIn(types.ModuleType):
    def __getattr__(self, name):
        if name in OFFERED or name in UNSUPPORTED:
            return offered(name)
        raise AttributeError(
            "module 'azureml.core' has no attribute '{}': amlcore stands in for azureml here".format(name)
        )


sys.modules[__name__].__class__ = _StandIn
