"""The root of a workspace: the nearest folder upwards with a marker, amlcore's or one of Azure ML's.

Python 3.6 and the standard library only: a script that is started by hand looks for it too.
"""

import os

from amlcore.worker.files import read_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

MARKER = os.path.join(".amlcore", "config.json")
AZURE_MARKERS = (
    os.path.join(".azureml", "config.json"),
    os.path.join("aml_config", "config.json"),
    "config.json",
)


def find_root(start):
    # type: (str) -> str | None
    """The nearest folder with a marker, from the absolute path `start` upwards."""
    folder = start
    while not _is_root(folder):
        if os.path.dirname(folder) == folder:
            return None
        folder = os.path.dirname(folder)
    return folder


def _is_root(folder):
    # type: (str) -> bool
    if os.path.exists(os.path.join(folder, MARKER)):
        return True
    return any(_is_azure_marker(os.path.join(folder, marker)) for marker in AZURE_MARKERS)


def _is_azure_marker(path):
    # type: (str) -> bool
    # Many tools call a file config.json; Azure's names a workspace.
    if not os.path.isfile(path):
        return False
    try:
        config = read_json(path)
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and "workspace_name" in config
