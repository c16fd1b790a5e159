"""The run that this process is part of, as MLflow's first run takes it: one for each attempt of a script."""

import os

from amlcore.worker.files import create_json
from amlcore.worker.layout import ATTEMPT_VARIABLE, RUN_VARIABLE, RunLayout
from amlcore.worker.process_identity import identity
from amlcore.worker.script import script_runs

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

_statuses = {}  # type: dict[str, str]
"""What the script says of the end of its run while it still goes on: the driver alone writes the state."""


def own_folder(root):
    # type: (str) -> str | None
    """The folder of this script's run, if it is one of the workspace at `root`."""
    folder = os.environ.get(RUN_VARIABLE)
    if folder is None or os.path.realpath(folder).startswith(os.path.join(os.path.realpath(root), "outputs", "")):
        return folder
    return None


def attempt():
    # type: () -> int | None
    return int(os.environ[ATTEMPT_VARIABLE]) if ATTEMPT_VARIABLE in os.environ else None


def take(folder):
    # type: (str) -> bool
    """Make MLflow's new run the one in `folder`; False if another one of this attempt is it already."""
    layout = RunLayout(folder)
    os.makedirs(layout.mlflow, exist_ok=True)
    return create_json(os.path.join(layout.mlflow, "attached-{}.json".format(attempt() or 0)), identity())


def own_outputs(folder):
    # type: (str) -> str | None
    """Where this script finds the outputs of the run in `folder`; None if that run is not its own, or has ended."""
    layout = RunLayout(folder)
    own = os.environ.get(RUN_VARIABLE)
    if folder == own and attempt() is not None:
        return layout.attempt(int(attempt() or 0)).outputs
    is_child = own is not None and folder.startswith(own + "_")
    return layout.outputs if folder == own or is_child or script_runs.is_open(folder) else None


def status(folder):
    # type: (str) -> str | None
    """What the script said of the end of its own run, in MLflow's words."""
    return _statuses.get(folder)


def remember_status(folder, value):
    # type: (str, str) -> None
    _statuses[folder] = value
