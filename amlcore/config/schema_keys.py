"""The keys of the schema, and the nearest one to a key that it does not have."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from typing import Any

from amlcore.config.grammar.scalars import key_parts, nouns_at
from amlcore.errors import suggest

HIDDEN = ("omegaconf_ignore", "set_by_amlcore")


def keys_of(noun: Any) -> list[str]:
    """The keys of a dataclass of the schema that a user can set."""
    if not is_dataclass(noun):
        return []
    return [field.name for field in fields(noun) if not any(field.metadata.get(name) for name in HIDDEN)]


def suggest_key(key: str, noun: Any) -> str:
    """The end of a message about a `key` that does not exist: the one that was perhaps meant, and what there is."""
    parts = key_parts(key)
    for depth, part in enumerate(parts):
        nouns = nouns_at(parts[:depth]) if depth < len(parts) - 1 else (noun,)  # of compute, the backend that is chosen
        names = sorted({name for one in nouns for name in keys_of(one)})
        if part in names:
            continue
        near = get_close_matches(part, names, n=1)
        if near and depth < len(parts) - 1:
            near_key = ".".join((*parts[:depth], near[0], *parts[depth + 1 :]))
            return f"did you mean '{near_key}'? Available: {', '.join(names)}"
        return suggest(part, names)
    return suggest(parts[-1], keys_of(noun))
