"""Marking models: notes and tags that are added after the registration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from amlcore.errors import ModelError
from amlcore.model.model import Model
from amlcore.record.mark_texts import noted, tagged, untagged
from amlcore.record.marks import Marks, change_marks, model_marks_path


def set_tags(model: Model, tags: Mapping[str, str], *, remove: Iterable[str] = ()) -> Marks:
    """Set tags of a model and remove others.

    Raises
    ------
    RequestError
        A tag cannot be set as it is, there is none to remove, or this user may not write there.
    """
    removed = list(remove)
    if both := sorted(tags.keys() & set(removed)):
        raise ModelError(f"tag '{both[0]}': it can either be set or removed, not both")

    def change(marks: Marks) -> Marks:
        return tagged(untagged(marks, removed, logged=model.registered_tags, what=f"model {model.id}"), tags)

    return _change(model, change)


def set_note(model: Model, note: str | None) -> Marks:
    """Replace the note of a model; None or an empty one removes it."""
    return _change(model, lambda marks: noted(marks, note))


def _change(model: Model, change: Callable[[Marks], Marks]) -> Marks:
    path = model_marks_path(model.folder)
    root = model.folder.parent.parent.parent
    return change_marks(path, change, root=root, what=f"model {model.id}", in_new_folder=True)
