"""What may be written in marks; text stays as it was typed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

from amlcore.errors import NotFoundError, RequestError, suggest
from amlcore.record.marks import Marks

NAME_LENGTH = 128  # characters, as all of these
TAG_KEY_LENGTH = 250  # as MLflow's
TAG_VALUE_LENGTH = 8000  # as MLflow's
NOTE_LENGTH = 100_000
MAX_TAGS = 500

_ID_BEGINS = re.compile(r"\d{1,8}|\d{8}-(\d{0,6}|\d{6}-[0-9a-f]*(_\d*)*)")
"""How a run's id may begin."""

_MEANINGS = {
    "/": "separates folders",
    ":": "precedes the version of a model",
    "@": "precedes the alias of a model",
    "=": "separates a tag from its value",
}


def tagged(marks: Marks, tags: Mapping[str, str]) -> Marks:
    """`marks` with these tags set.

    Raises
    ------
    RequestError
        A tag has no key, a key or a value is too long, or there are too many tags.
    """
    for key, value in tags.items():
        _check_tag(key, value)
    all_tags = {**marks.tags, **tags}
    if len(all_tags) > MAX_TAGS:
        raise RequestError(f"tag '{next(iter(tags))}': there would be {len(all_tags)} tags; the limit is {MAX_TAGS}")
    removed = [key for key in marks.removed_tags if key not in tags]
    return Marks(marks.name, marks.note, all_tags, removed, marks.archived)


def untagged(marks: Marks, keys: Iterable[str], *, logged: Iterable[str], what: str) -> Marks:
    """`marks` without these tags, whether people set them or, as those of `logged`, a script or a registration.

    Raises
    ------
    NotFoundError
        There is no such tag.
    """
    keys, logged = list(keys), set(logged)
    present = {*marks.tags, *(logged - {*marks.removed_tags})}
    for key in keys:
        if key not in present:
            raise NotFoundError(f"{what} has no tag '{key}'; {suggest(key, present)}")
    tags = {key: value for key, value in marks.tags.items() if key not in keys}
    removed = sorted({*marks.removed_tags, *(logged & set(keys))})
    return Marks(marks.name, marks.note, tags, removed, marks.archived)


def noted(marks: Marks, note: str | None) -> Marks:
    """`marks` with another note; an empty one is none."""
    if note is not None:
        check_text("the note", note, NOTE_LENGTH)
    return Marks(marks.name, note or None, marks.tags, marks.removed_tags, marks.archived)


def checked_name(name: str) -> str:
    """A name of a run, in the one form that Unicode has for texts that look the same.

    Raises
    ------
    RequestError
        It could be taken for something else on a command line.
    """
    check_text("the name", name, NAME_LENGTH)
    name = unicodedata.normalize("NFC", name)
    problem = None
    if name != name.strip() or not name:
        problem = "a name must neither be empty nor begin or end with a space"
    elif any(unicodedata.category(letter).startswith("C") for letter in name):
        problem = "a name must not contain line breaks or control characters"
    elif letter := next((letter for letter in name if letter in _MEANINGS), None):
        problem = f"a name must not contain '{letter}', which {_MEANINGS[letter]}"
    elif name.startswith("-"):
        problem = "a name must not begin with '-', as an option does"
    elif name == "latest":
        problem = "'latest' means the newest run"
    elif _ID_BEGINS.fullmatch(name):
        problem = "ids of runs begin like this; use a name with a letter at its beginning"
    if problem is not None:
        raise RequestError(f"name {name!r}: {problem}")
    return name


def may_be_id(reference: str) -> bool:
    """Whether `reference` may be the id of a run, or its beginning, and so is no name."""
    return _ID_BEGINS.fullmatch(reference) is not None


def _check_tag(key: str, value: str) -> None:
    if not key.strip() or key != key.strip():
        raise RequestError(f"tag {key!r}: the key must neither be empty nor begin or end with a space")
    if any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in key):
        raise RequestError(f"tag {key!r}: the key must not contain line breaks or control characters")
    check_text("the key of the tag", key, TAG_KEY_LENGTH)
    check_text(f"tag '{key}': the value", value, TAG_VALUE_LENGTH)


def check_text(what: str, text: str, limit: int) -> None:
    """Refuse what is longer than `limit` characters, or is not Unicode text."""
    if len(text) > limit:
        raise RequestError(f"{what} has {len(text):,} characters; the limit is {limit:,}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise RequestError(f"{what} is not valid UTF-8 text: {text!a}") from None
