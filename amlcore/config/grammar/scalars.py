"""How a plain scalar is read, by its key: as text, as a number, or as a number that keeps its text."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any

from amlcore.compute import BACKENDS
from amlcore.config.job import Job
from amlcore.environment import Environment
from amlcore.model import Registration
from amlcore.model.registration import ResourceConfiguration
from amlcore.script.run_config import ScriptRunConfig
from amlcore.serving.deployment import Deployment
from amlcore.sweep import EarlyTermination, Sweep
from amlcore.workspace import Workspace

ITEM = "[]"
"""The part of a path that means any item of a list."""

KeyPath = tuple[str, ...]
"""The parts of a dotted key."""


class ScalarRule(Enum):
    """What becomes of a plain scalar such as 2.30 or true."""

    text = "text"  # text, unless it is null
    kept = "kept"  # a number if it is written back the same, otherwise its text; numeric fields accept both
    word = "word"  # the same, but true and false are text
    typed = "typed"  # as YAML or Hydra read it


NOUNS: dict[str, tuple[type, ...]] = {
    noun.__name__: (noun,)
    for noun in (Workspace, Environment, ScriptRunConfig, Registration, ResourceConfiguration, Deployment)
} | {"Sweep": (Sweep,), "EarlyTermination": (EarlyTermination,), "ComputeTarget": tuple(BACKENDS.values())}
"""The dataclasses of the schema, by their names in annotations."""

BY_PATH: dict[KeyPath, ScalarRule] = {
    ("script", "inputs"): ScalarRule.text,  # paths
    ("sweep", "primary_metric"): ScalarRule.text,  # names
    ("sweep", "goal"): ScalarRule.text,
    ("sweep", "sampler_options"): ScalarRule.typed,  # arguments of Optuna's classes
    ("sweep", "early_termination", "options"): ScalarRule.typed,
    ("sweep", "early_termination", "wrapped_options"): ScalarRule.typed,
    ("experiment",): ScalarRule.text,  # the name of an option, like those below
    ("defaults",): ScalarRule.text,
    ("hydra",): ScalarRule.typed,
}
ARGUMENTS: KeyPath = ("script", "arguments")
SPACE: KeyPath = ("sweep", "search_space")
SPACE_WORDS = ("values", "when", "type")


def scalar_rule(path: KeyPath) -> ScalarRule:
    """How a scalar at `path` is read; a key of a search space is read as the key that it stands for."""
    if path[:2] == SPACE:
        return _in_space(path[2:])
    for length in range(1, len(path) + 1):
        if (rule := BY_PATH.get(path[:length])) is not None:
            return rule
    if path[:2] == ARGUMENTS:
        # Alone, true and false are flags; in a list they are words like any other.
        return ScalarRule.word if ITEM in path else ScalarRule.kept
    return _schema_rule(path)


def _in_space(path: KeyPath) -> ScalarRule:
    if not path:
        return ScalarRule.kept
    key, rest = path[0], path[1:]
    while rest and rest[0] not in (ITEM, *SPACE_WORDS) and not _is_range_word(rest):
        key, rest = f"{key}.{rest[0]}", rest[1:]
    if rest[:1] == ("when",):
        others = [part for part in rest[1:] if part != ITEM]
        return scalar_rule(key_parts(".".join(others))) if others else ScalarRule.kept
    if rest and rest[0] not in (ITEM, "values"):
        return ScalarRule.typed
    inner = rest[1:][rest[0] == "values" :] if rest else ()
    return scalar_rule((*key_parts(key.lstrip("+")), *inner))


def _is_range_word(rest: KeyPath) -> bool:
    return len(rest) == 1 and rest[0] in ("min_value", "max_value", "q", "mu", "sigma", "upper")


def key_parts(key: str) -> KeyPath:
    """The parts of a dotted key; what follows a free mapping is one name, dots included."""
    mapping = next((path for path in free_name_mappings() if key.startswith(".".join(path) + ".")), None)
    if mapping is None:
        return tuple(key.split("."))
    return (*mapping, key[len(".".join(mapping)) + 1 :])


@cache
def free_name_mappings() -> tuple[KeyPath, ...]:
    """The free mappings: those whose keys are the user's own names, such as the script's arguments."""
    texts = [path for path, kind in _leaves(Job, ()) if kind == "dict[str, str]"]
    return (ARGUMENTS, SPACE, *texts)


def _leaves(noun: type, prefix: KeyPath) -> list[tuple[KeyPath, str]]:
    leaves: list[tuple[KeyPath, str]] = []
    for field in _fields(noun):
        kind = _annotation(field)
        inner = NOUNS.get(_bare(kind), ())
        # An environment may contain another one, whose leaves are not listed.
        leaves += [leaf for one in inner if one is not noun for leaf in _leaves(one, (*prefix, field.name))]
        if not inner:
            leaves.append(((*prefix, field.name), kind))
    return leaves


def annotation_at(path: KeyPath) -> str:
    """The annotation of the field at `path` without its `| None`; an empty text where the schema has none."""
    return _bare(_kind(nouns_at(path[:-1]), path[-1])) if path else ""


def nouns_at(path: KeyPath) -> tuple[type, ...]:
    """The dataclasses that can be at `path` in the schema; none where it is a value or does not exist."""
    nouns: tuple[type, ...] = (Job,)
    for part in path:
        nouns = NOUNS.get(_bare(_kind(nouns, part)), ())
    return nouns


def _kind(nouns: tuple[type, ...], name: str) -> str:
    """The annotation of a field; an empty text where there is none of that name."""
    return next((_annotation(field) for noun in nouns for field in _fields(noun) if field.name == name), "")


@cache
def _schema_rule(path: KeyPath) -> ScalarRule:
    nouns: tuple[type, ...] = (Job,)
    for depth, part in enumerate(path):
        kind = _kind(nouns, part)
        nouns = NOUNS.get(_bare(kind), ())
        if not nouns:
            return ScalarRule.text if _is_text(kind) else ScalarRule.kept
        if depth == len(path) - 1:
            return ScalarRule.text  # the name of an option
    return ScalarRule.kept


def _is_text(kind: str) -> bool:
    return _bare(kind) == "str" or kind.startswith(("list[str]", "dict[str, str]"))


def _annotation(field: Any) -> str:
    text = field.type.__name__ if isinstance(field.type, type) else str(field.type)
    return re.sub(r"\b[\w.]+\.(?=\w)", "", text)  # without the module that an annotation which was evaluated has


def _bare(kind: str) -> str:
    return re.sub(r" \| None$", "", kind)


def _fields(noun: type) -> list[Any]:
    return [field for field in fields(noun) if not field.metadata.get("omegaconf_ignore")] if is_dataclass(noun) else []
