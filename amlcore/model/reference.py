"""The one way to name a version of a model: NAME, NAME:VERSION, NAME:latest or NAME@ALIAS."""

from __future__ import annotations

import re
from dataclasses import dataclass

from amlcore.errors import RequestError

LATEST = "latest"
CANDIDATE = "candidate"
"""What a condition of `aml promote` calls the version that is to be promoted."""

_ALIAS = re.compile(r"[A-Za-z0-9_-]{1,255}")
_NUMBERED = re.compile(r"[vV]?[0-9]+")


@dataclass(frozen=True)
class ModelReference:
    """The name of a model and its version or alias, as written; with neither, the newest version is meant."""

    name: str
    version: str | None = None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str) -> ModelReference:
        """Read NAME, NAME:VERSION, NAME:latest or NAME@ALIAS.

        Raises
        ------
        RequestError
            It is both at once, or the part after the sign is missing.
        """
        name, sign, rest = _split(text)
        if sign == "":
            return cls(name)
        if name == "" or rest == "" or ":" in rest or "@" in rest:
            raise RequestError(f"model '{text}': write NAME, NAME:VERSION, NAME:latest or NAME@ALIAS")
        if sign == ":":
            return cls(name, version=None if rest == LATEST else rest)
        return cls(name, alias=rest)

    @staticmethod
    def names_version(text: str) -> bool:
        """Whether `text` names a version of a model and not a run: no run is called like that."""
        return ":" in text or "@" in text

    def __str__(self) -> str:
        return self.name + (f":{self.version}" if self.version else f"@{self.alias}" if self.alias else "")


def _split(text: str) -> tuple[str, str, str]:
    """What is before the first `:` or `@`, that sign, and what is after it."""
    for index, character in enumerate(text):
        if character in ":@":
            return text[:index], character, text[index + 1 :]
    return text, "", ""


def check_alias(alias: str, *, key: str) -> None:
    """Raise RequestError if no alias may be called so; `key` is what the message begins with."""
    if not _ALIAS.fullmatch(alias):
        raise RequestError(
            f"{key}: an alias must be at most 255 letters (a-z, A-Z), digits, '-' and '_', not {alias!r}"
        )
    if _NUMBERED.fullmatch(alias):
        raise RequestError(f"{key}: '{alias}' cannot be an alias because it reads as the number of a version")
    if alias.lower() in (LATEST, CANDIDATE):
        meaning = "the newest version" if alias.lower() == LATEST else "the version to be promoted"
        raise RequestError(f"{key}: '{alias}' cannot be an alias because it always means {meaning}")
