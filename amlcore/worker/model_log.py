"""The log of a model: numbered files in `models/NAME/aliases/` that record each move of an alias and each removal.

Every entry holds the whole state after it, so the file with the highest number says what holds now. An entry is
created whole and only if its number is free: whoever comes second reads again, and decides again.

Python 3.6 and the standard library only: MLflow's pages read it too, in the interpreter of a script.
"""

import os
import re
import time

from amlcore.worker import durable
from amlcore.worker.files import create_json, make_folder, read_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing

    Entry = typing.Dict[str, typing.Any]

FOLDER = "aliases"
MAX_LEFTOVER_S = 86400.0  # an older temporary file was left by a process that was killed

_ENTRY = re.compile(r"[0-9]{6,}\.json")


def entry_numbers(model):
    # type: (str | os.PathLike[str]) -> list[int]
    """The numbers of the entries of the model in the folder `model`, in order."""
    try:
        names = os.listdir(os.path.join(str(model), FOLDER))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(int(name[: -len(".json")]) for name in names if _ENTRY.fullmatch(name))


def entry_path(model, number):
    # type: (str | os.PathLike[str], int) -> str
    return os.path.join(str(model), FOLDER, "{:06d}.json".format(number))


def last_entry(model):
    # type: (str | os.PathLike[str]) -> Entry | None
    """The entry that says what holds now; None if the model has no entry.

    Raises OSError if it cannot be read, and ValueError if it is damaged.
    """
    numbers = entry_numbers(model)
    return check_entry(read_json(entry_path(model, numbers[-1]))) if numbers else None


def check_entry(entry):
    # type: (typing.Any) -> Entry
    """`entry`, if it holds a state; raises ValueError otherwise."""
    if not isinstance(entry, dict) or not isinstance(entry.get("number"), int):
        raise ValueError("it is not an entry of a model's log")
    aliases, removed = entry.get("aliases"), entry.get("removed_versions")
    if not isinstance(aliases, dict) or not all(type(version) is int for version in aliases.values()):
        raise ValueError("aliases must map names to versions")
    if not isinstance(removed, list) or not all(type(version) is int for version in removed):
        raise ValueError("removed_versions must be a list of versions")
    return entry


def read_aliases(model):
    # type: (str | os.PathLike[str]) -> dict[str, int]
    """The aliases of the model in the folder `model`, and the version that each means; errors as of `last_entry`."""
    entry = last_entry(model)
    return {} if entry is None else dict(entry["aliases"])


def create_entry(model, entry):
    # type: (str | os.PathLike[str], Entry) -> bool
    """Create the entry, on the disk when this returns; False if another process has created one of its number."""
    folder = os.path.join(str(model), FOLDER)
    make_folder(folder)
    _remove_leftovers(folder)
    is_new = create_json(entry_path(model, entry["number"]), entry, sync=True)
    if is_new:
        durable.sync([folder, str(model)])
    return is_new


def _remove_leftovers(folder):
    # type: (str) -> None
    for name in os.listdir(folder):
        if name.startswith(".") and name.endswith(".tmp"):
            path = os.path.join(folder, name)
            try:
                if time.time() - os.stat(path).st_mtime > MAX_LEFTOVER_S:
                    os.unlink(path)
            except OSError:
                pass  # somebody else has removed it, or owns it
