"""The one place where files of a record are read, so that an error always names the damaged file.

A disk, a copy or a person may have emptied, cut, scrambled or replaced a file. A reader gets a value of the form that
it asked for, None if there is no such file, or a RecordError.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from amlcore.errors import AmlcoreError, RecordError, UnreadableError
from amlcore.record.forms import json_kind, parse
from amlcore.record.ownership import owner_of

F = TypeVar("F")
T = TypeVar("T", dict[str, Any], list[Any])

SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The C loader where PyYAML has it, which reads a long lock ten times as fast."""


def read_mapping(path: str | Path, *, error: type[AmlcoreError] = RecordError) -> dict[str, Any] | None:
    """The JSON object at `path`, whose keys are free; None if there is no such file."""
    value = _read(path, error)
    if value is not None and not isinstance(value, dict):
        raise error(f"{path} is damaged: it must hold a mapping, not {json_kind(value)}")
    return value


def read_document(path: str | Path, form: type[F], *, error: type[AmlcoreError] = RecordError) -> F | None:
    """The JSON object at `path` as an instance of the dataclass `form`, None if there is no such file."""
    value = _read(path, error)
    return None if value is None else parse(path, value, form, error=error)


def read_documents(path: str | Path, form: type[F], *, error: type[AmlcoreError] = RecordError) -> list[F] | None:
    """The JSON array of objects at `path`, None if there is no such file."""
    value = _read(path, error)
    if value is None:
        return None
    if not isinstance(value, list):
        raise error(f"{path} is damaged: it must hold a list, not {json_kind(value)}")
    return [parse(path, item, form, error=error) for item in value]


def read_text(path: str | Path, *, may_be_empty: bool = False) -> str | None:
    """The text of the file at `path`, None if there is no such file."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as problem:
        raise unreadable_error(path, problem) from None
    if not may_be_empty and not text.strip("\0 \n"):
        raise RecordError(f"{path} is damaged: it is empty")
    return text


def read_yaml(path: str | Path, form: type[T]) -> T | None:
    """The YAML mapping or list at `path`, None if there is no such file."""
    text = read_text(path)
    if text is None:
        return None
    try:
        value = yaml.load(text, Loader=SAFE_LOADER)
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        first = str(problem).partition("\n")[0]
        raise RecordError(f"{path} is damaged: it is not YAML: {first}") from None
    if not isinstance(value, form):
        raise RecordError(
            f"{path} is damaged: it must hold {'a mapping' if form is dict else 'a list'}, not {json_kind(value)}"
        )
    return value


def unreadable_error(path: str | Path, problem: Exception, *, error: type[AmlcoreError] = RecordError) -> AmlcoreError:
    """The error for a file that cannot be read, or whose content is not what it should be."""
    if isinstance(problem, PermissionError):
        owner = owner_of(path) or owner_of(Path(path).parent)
        what, kind = ("the run", UnreadableError) if error is RecordError else ("it", error)
        reason = f"{what} belongs to {owner}, who has not given you access" if owner else "access is denied"
        return kind(f"{path} cannot be read: {reason}")
    if isinstance(problem, OSError):
        return error(f"{path} cannot be read: {problem.strerror}")
    if isinstance(problem, UnicodeDecodeError):
        return error(f"{path} is damaged: it is not UTF-8 text")
    try:
        empty = Path(path).stat().st_size == 0
    except OSError:
        empty = False
    return error(f"{path} is damaged: {'it is empty' if empty else problem}")


def is_blank(path: str | Path) -> bool:
    """Whether nothing, or nothing but NULs, is in a file, as after a power cut before its content was on the disk."""
    try:
        return not Path(path).read_bytes().strip(b"\0")
    except OSError:
        return False


def appended_lines(path: str | Path) -> list[bytes]:
    """The lines of a file to which lines are only appended, with their ends.

    A power cut may leave NULs in place of the line that was being appended; nobody was told that it was kept.
    """
    return Path(path).read_bytes().rstrip(b"\0").splitlines(keepends=True)


def damaged_line(lines: Iterable[bytes], *, required: str | None = None) -> int | None:
    """The number of the first line that is not a JSON object, or lacks the text `required`; None if there is none."""
    for number, line in enumerate(lines, start=1):
        try:
            value = json.loads(line)
            if isinstance(value, dict) and (required is None or isinstance(value.get(required), str)):
                continue
        except ValueError:
            pass
        return number
    return None


def _read(path: str | Path, error: type[AmlcoreError]) -> Any:
    try:
        with open(path, encoding="utf-8") as stream:
            value = json.load(stream)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as problem:
        raise unreadable_error(path, problem, error=error) from None
    if value is None:
        raise error(f"{path} is damaged: it holds null")
    return value
