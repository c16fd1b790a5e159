"""The addresses of stores: `amlcore:///path/to/workspace`, and of the files of a run: `amlcore:///path/to/run`."""

import os

from amlcore.worker.root import find_root
from amlcore.worker.run_names import experiment_of, is_experiment

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401


SCHEME = "amlcore"

# urllib is imported where it is needed: every worker imports this module, and few need it.


def uri_of(folder):
    # type: (str) -> str
    """The address of a workspace, or of a run's files."""
    from urllib.parse import quote

    return "{}://{}".format(SCHEME, quote(os.path.abspath(folder)))


def path_of(uri):
    # type: (str) -> str
    """The folder that an address means; `amlcore:` alone is the workspace around the working folder."""
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(uri)
    if parts.netloc:
        message = "{!r} is not the address of a workspace: use three slashes, as in amlcore:///path/to/workspace"
        raise ValueError(message.format(uri))
    path = unquote(parts.path)
    return os.path.abspath(path) if path else find_root(os.getcwd()) or os.getcwd()


def file_uri_of(folder):
    # type: (str) -> str
    from urllib.parse import quote

    return "file://" + quote(os.path.abspath(folder))


def experiment_id(name):
    # type: (str) -> str
    """The folder of the experiment that MLflow calls `name`, which may be any text."""
    return name if is_experiment(name) else experiment_of(name)
