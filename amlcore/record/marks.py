"""Marks: what people add to a run or a model afterwards: a name, a note, tags, and whether it is archived."""

# Without `from __future__ import annotations`: see documents.
import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from amlcore.errors import ModelError, NotFoundError, RequestError
from amlcore.record.ownership import owner_of
from amlcore.record.reading import read_document
from amlcore.record.usage_lock import locks_path, open_lock
from amlcore.worker import durable
from amlcore.worker.files import make_folder, write_json
from amlcore.worker.layout import RunLayout


@dataclass
class Marks:
    """marks.json of a run, or marks/VERSION.json of a model."""

    name: str | None = None  # of a run; unique in its workspace
    note: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    removed_tags: list[str] = field(default_factory=list)  # that the script, or the registration, had set
    archived: bool = False

    def over(self, tags: Mapping[str, Any]) -> dict[str, Any]:
        """`tags`, as a script or a registration set them, with what people set and removed later."""
        return {**{key: value for key, value in tags.items() if key not in self.removed_tags}, **self.tags}


def read_marks(folder: str | Path) -> Marks:
    """The marks of the run in `folder`."""
    return read_document(RunLayout(folder).marks, Marks) or Marks()


def read_model_marks(folder: Path) -> Marks:
    """The marks of the model whose version is in `folder`; the version itself never changes."""
    return read_document(model_marks_path(folder), Marks, error=ModelError) or Marks()


def model_marks_path(folder: Path) -> Path:
    return folder.parent / "marks" / f"{folder.name}.json"


def change_marks(
    path: str | Path, change: Callable[[Marks], Marks], *, root: Path, what: str, in_new_folder: bool = False
) -> Marks:
    """Replace the marks at `path` with what `change` makes of them; changes at the same time wait for each other.

    Parameters
    ----------
    root : Path
        The root of the workspace.
    what : str
        The run or the model, for a message.
    in_new_folder : bool
        Create the folder of the file if it is missing; that of a run is only missing if the run was removed.

    Raises
    ------
    NotFoundError
        The run was removed meanwhile.
    RequestError
        This user may not write there: marks are for everyone to see, so whoever may not write to a run cannot mark it.
    """
    target = Path(path)
    try:
        with marks_lock(root):
            before = read_document(target, Marks) or Marks()
            marks = change(before)
            if marks == before:
                return marks
            if in_new_folder:
                make_folder(target.parent)
            _replace(target, marks)
        durable.sync([target.parent, target.parent.parent])
    except FileNotFoundError:
        raise NotFoundError(f"{what} was removed meanwhile") from None
    except PermissionError as error:
        place = Path(error.filename or target)
        holder = place if place.is_dir() else place.parent
        raise RequestError(
            f"{what} cannot be marked: {holder} belongs to {owner_of(holder)}, and you may not write there"
        ) from None
    return marks


@contextmanager
def marks_lock(root: Path) -> Iterator[None]:
    """Hold the lock of all marks of a workspace: names are unique in it."""
    with open_lock(locks_path(root) / "marks") as stream:
        with suppress(OSError):  # a filesystem without locks
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _replace(path: Path, marks: Marks) -> None:
    """Write the marks so that the file's time tells every change, even two within one tick of the clock."""
    before_ns = path.stat().st_mtime_ns if path.exists() else 0
    write_json(str(path), asdict(marks), sync=True)
    if path.stat().st_mtime_ns <= before_ns:
        os.utime(path, ns=(before_ns + 1000, before_ns + 1000))
