"""The arguments of a script: values of YAML or Python as the words of its command line."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import Enum
from typing import Any

from amlcore.errors import ConfigError, RequestError
from amlcore.worker.references import missing, not_set
from amlcore.worker.values import shortest, text


def command_line(arguments: Any) -> list[str]:
    """The arguments, a mapping or a list, as the script's `sys.argv[1:]`."""
    if arguments is None:
        return []
    if isinstance(arguments, Mapping):
        return [word for name, value in arguments.items() for word in _words(str(name), value)]
    if isinstance(arguments, (list, tuple)):
        return [_word("script.arguments", value) for value in arguments]
    raise ConfigError(
        f"script.arguments={arguments!r}: give a mapping ({{kernel: linear}}) or a list (['--kernel', 'linear'])"
    )


def check_references(key: str, word: str) -> None:
    """Raise RequestError if `word` refers to an environment variable that is not set here."""
    for name in missing(word):
        raise RequestError(f"{key}: {word}: {not_set(name)}")


def check_encodable(word: str) -> None:
    try:
        word.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigError(
            f"script.arguments: {word!a} is not valid UTF-8, so it cannot be recorded; rename the file that it names"
        ) from None


def as_path(key: str, value: Any) -> str:
    try:
        return os.fsdecode(value)
    except TypeError:
        raise ConfigError(f"{key}={value!r}: must be a path") from None


def plain_value(value: Any) -> Any:
    """`value` in the types that YAML has."""
    if isinstance(value, Enum):
        return plain_value(value.value)
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, Mapping):
        return {str(name): plain_value(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)) or bool(getattr(value, "ndim", None)):
        return [plain_value(item) for item in value]
    if isinstance(value, Decimal):
        return str(value)
    return None if value is None else shortest(value)


def _words(name: str, value: Any) -> Iterator[str]:
    flag = name if name.startswith("-") else f"--{name}"
    match value:
        case None | False:
            return
        case True:
            yield flag
        case Mapping():
            raise ConfigError(
                f"script.arguments.{name}={value!r}: an argument must be text, a number, true, false or a list"
            )
        case list() | tuple():
            yield flag
            yield from (_word(f"script.arguments.{name}", item) for item in value)
        case float() if value == -math.inf and flag.startswith("--"):
            yield f"{flag}=-inf"  # argparse would take a separate -inf for a flag
        case _:
            yield flag
            yield text(value)


def _word(key: str, value: Any) -> str:
    """One word of a command line."""
    if isinstance(value, (Mapping, list, tuple)) or value is None:
        raise ConfigError(f"{key}: {value!r} in a list; each item must be text or a number")
    return str(value) if isinstance(value, bool) else text(value)


def parse_command_line(words: list[str]) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    name: str | None = None
    for word in words:
        if word.startswith("--") and len(word) > 2:
            name, equals, value = word[2:].partition("=")
            parameters[name] = value if equals else True
            name = None if equals else name
        elif name is not None:
            parameters[name] = word
            name = None
        else:
            parameters.setdefault("args", []).append(word)
    return parameters
