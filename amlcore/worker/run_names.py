"""Names of runs and experiments, and the folder of a new run."""

import binascii
import datetime
import os

from amlcore.worker.files import make_folder, open_to_group

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

EXPERIMENT_LENGTH = 128
_EXPERIMENT_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


def new_run_id():
    # type: () -> str
    """A run id that sorts by time: UTC to the second, and six random hex digits."""
    moment = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%d-%H%M%S")
    return "{}-{}".format(moment, binascii.hexlify(os.urandom(3)).decode("ascii"))


def create_run_folder(root, experiment):
    # type: (str | os.PathLike[str], str) -> tuple[str, str]
    """Create the folder of a new run; no other process can get the same one.

    Returns the run's id and its folder.
    """
    outputs = os.path.join(os.path.abspath(str(root)), "outputs", experiment)
    make_folder(outputs)
    while True:
        name = new_run_id()
        folder = os.path.join(outputs, name)
        try:
            os.mkdir(folder)
        except FileExistsError:
            continue
        open_to_group(folder, keep_private=True)
        return name, folder


def experiment_of(script):
    # type: (str) -> str
    """The default experiment of a script: its name, in the letters that a folder may have."""
    kept = [letter if letter in _EXPERIMENT_LETTERS else "-" for letter in script[:EXPERIMENT_LENGTH]]
    return "-".join(part for part in "".join(kept).split("-") if part).strip("-_") or "script"


def is_experiment(name):
    # type: (object) -> bool
    """Whether `name` is a valid name of an experiment, which is a folder."""
    if not isinstance(name, str) or not 0 < len(name) <= EXPERIMENT_LENGTH:
        return False
    return name[0] not in "_-." and _EXPERIMENT_LETTERS.issuperset(name.replace(".", ""))


def created_now():
    # type: () -> str
    """The current time as in run.json: ISO 8601 in UTC, with microseconds."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds")
