"""The one door by which files of a record are read: what is no longer what was written is named by its file.

A file may have been emptied, cut, scrambled or replaced, by a disk, a copy or a person. Whoever reads one here gets a
value of the form that was asked for, None where there is no such file, or a RecordError that says which file it is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import yaml

from amlcore.errors import AmlcoreError, RecordError, UnreadableError
from amlcore.record.forms import describe, parse
from amlcore.record.ownership import owner_of

F = TypeVar("F")
T = TypeVar("T", dict[str, Any], list[Any])

SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The C loader where PyYAML has it, which reads a long lock ten times as fast."""

Moment = datetime
"""The form of text that tells a moment as ISO 8601 does."""

Number = (int, float)
Process = {"host": str, "boot": str, "pid": int}
"""What names a process, see `identity`."""

OUTPUT = {"path": str, "size": int, "sha256": str}

_NAMES: dict[Any, str] = {
    **{str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "a mapping"},
    **{list: "a list", type(None): "null", Moment: "a moment as ISO 8601 writes it"},
}


def read_mapping(
    path: str | Path,
    required: Mapping[str, Any] | None = None,
    optional: Mapping[str, Any] | None = None,
    *,
    error: type[AmlcoreError] = RecordError,
) -> dict[str, Any] | None:
    """The JSON object at `path`, None where there is none.

    Parameters
    ----------
    required, optional : mapping
        The type, or types, of the values by their keys; a value that is optional may be null too.
    """
    value = _read(path, error)
    if value is None:
        return None
    check(path, value, required or {}, optional or {}, error=error)
    return dict(value)


def read_document(path: str | Path, form: type[F], *, error: type[AmlcoreError] = RecordError) -> F | None:
    """The JSON object at `path` as an instance of the dataclass `form`, None where there is no such file."""
    value = _read(path, error)
    return None if value is None else parse(path, value, form, error=error)


def read_documents(path: str | Path, form: type[F], *, error: type[AmlcoreError] = RecordError) -> list[F] | None:
    """The JSON array of objects at `path`, None where there is no such file."""
    value = _read(path, error)
    if value is None:
        return None
    if not isinstance(value, list):
        raise error(f"{path} is damaged: it must hold a list, not {describe(value)}")
    return [parse(path, item, form, error=error) for item in value]


def read_text(path: str | Path, *, may_be_empty: bool = False) -> str | None:
    """The text at `path`, None where there is none."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as problem:
        raise unreadable(path, problem) from None
    if not may_be_empty and not text.strip("\0 \n"):
        raise RecordError(f"{path} is damaged: it is empty")
    return text


def read_yaml(path: str | Path, form: type[T]) -> T | None:
    """The YAML mapping or list at `path`, None where there is none."""
    text = read_text(path)
    if text is None:
        return None
    try:
        value = yaml.load(text, Loader=SAFE_LOADER)
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        first = str(problem).partition("\n")[0]
        raise RecordError(f"{path} is damaged: it is not YAML: {first}") from None
    if not isinstance(value, form):
        raise RecordError(f"{path} is damaged: it must hold {_NAMES[form]}, not {describe(value)}")
    return value


def check(
    path: str | Path,
    value: Any,
    required: Mapping[str, Any],
    optional: Mapping[str, Any],
    *,
    error: type[AmlcoreError] = RecordError,
) -> None:
    """Raises `error` where `value` is no mapping with these keys."""
    if not isinstance(value, dict):
        raise error(f"{path} is damaged: it must hold a mapping, not {describe(value)}")
    lacking = sorted(required.keys() - value.keys())
    if lacking:
        more = f" and {len(lacking) - 3} more keys" if len(lacking) > 3 else ""
        raise error(f"{path} is damaged, or of another amlcore: it lacks {', '.join(lacking[:3])}{more}")
    for key, form in (
        *required.items(),
        *((key, form) for key, form in optional.items() if value.get(key) is not None),
    ):
        if not _fits(value[key], form):
            wanted = " or ".join(_NAMES[one] for one in _types(form) if not (one is int and float in _types(form)))
            raise error(f"{path} is damaged: {key} must be {wanted}, not {describe(value[key])}")
        if isinstance(form, dict):
            check(f"{path}: {key}", value[key], form, {}, error=error)


def unreadable(path: str | Path, problem: Exception, *, error: type[AmlcoreError] = RecordError) -> AmlcoreError:
    """What is said of a file that cannot be read, or not as what it is."""
    if isinstance(problem, PermissionError):
        owner = owner_of(path) or owner_of(Path(path).parent)
        what, kind = ("the run", UnreadableError) if error is RecordError else ("it", error)
        of = f"{what} belongs to {owner}, and " if owner else ""
        return kind(f"{path} cannot be read: {of}you may not")
    if isinstance(problem, OSError):
        return error(f"{path} cannot be read: {problem.strerror}")
    if isinstance(problem, UnicodeDecodeError):
        return error(f"{path} is damaged: it is not UTF-8 text")
    try:
        empty = Path(path).stat().st_size == 0
    except OSError:
        empty = False
    return error(f"{path} is damaged: {'it is empty' if empty else problem}")


def damaged_line(lines: Iterable[bytes], *, required: str | None = None) -> int | None:
    """The number of the first line that is no JSON object, or lacks a key with a text; None where all are."""
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
        raise unreadable(path, problem, error=error) from None
    if value is None:
        raise error(f"{path} is damaged: it holds null")
    return value


def _types(form: Any) -> tuple[Any, ...]:
    return form if isinstance(form, tuple) else (dict,) if isinstance(form, dict) else (form,)


def _fits(value: Any, form: Any) -> bool:
    types = _types(form)
    if isinstance(value, bool):
        return bool in types
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return isinstance(value, types) or (Moment in types and _is_moment(value))


def _is_moment(value: Any) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False
