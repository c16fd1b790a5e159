"""Lets the MLflow of an environment find amlcore's stores, and sends the calls of a script to its run.

Every worker imports it, so it imports nothing of MLflow.
"""

import importlib.util
import os
import re
import sys

from amlcore.worker.mlflow.uris import SCHEME, uri_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

PLUGIN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "plugin")
URI, RUN_ID, EXPERIMENT_ID = "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"
PACKAGES = ("mlflow", "mlflow-skinny")
OLDEST = (2, 9)
"""The oldest version that the stores work with; an older one keeps its own store."""

NO_TELEMETRY = "MLFLOW_DISABLE_TELEMETRY"


def add_plugin():
    # type: () -> None
    """Put the entry points of the stores on the path of this process and of its children, if it has a new MLflow."""
    if not has_mlflow() or _installed_version() < OLDEST:
        return
    if PLUGIN not in sys.path:  # inherited from a run that started this one
        sys.path.append(PLUGIN)
    inherited = os.environ.get("PYTHONPATH", "")
    if PLUGIN not in inherited.split(os.pathsep):
        os.environ["PYTHONPATH"] = inherited + os.pathsep + PLUGIN if inherited else PLUGIN
    # It would start a thread at import, and then no script could be forked from a warm worker.
    os.environ.setdefault(NO_TELEMETRY, "true")


def has_mlflow():
    # type: () -> bool
    try:
        return importlib.util.find_spec("mlflow") is not None
    except (ImportError, ValueError):
        return False


def _installed_version():
    # type: () -> tuple[int, ...]
    try:
        from importlib import metadata
    except ImportError:  # Python 3.7, for which there is no new MLflow
        return ()
    for package in PACKAGES:
        try:
            return parsed_version(metadata.version(package))
        except metadata.PackageNotFoundError:
            continue
    return ()


def parsed_version(text):
    # type: (str) -> tuple[int, ...]
    """The first two numbers of a version."""
    return tuple(int(digits) for digits in re.findall(r"\d+", text)[:2])


def variables(run, is_wanted):
    # type: (str, bool) -> dict[str, str | None]
    """The environment variables that send MLflow's calls into the run in the folder `run`, unless they go elsewhere.

    The user may have set an address; what a script inherits from the run that started it does not count.
    """
    inherited = os.environ.get(URI, "")
    is_ours = inherited.startswith(SCHEME + ":")
    if PLUGIN not in sys.path or (inherited and not is_ours):
        return {}
    if not is_wanted:
        return dict.fromkeys((URI, RUN_ID, EXPERIMENT_ID)) if is_ours else {}
    root = os.path.dirname(os.path.dirname(os.path.dirname(run)))
    values = {URI: uri_of(root), RUN_ID: None}  # type: dict[str, str | None]
    return dict(values, **dict.fromkeys([EXPERIMENT_ID] if is_ours else []))
