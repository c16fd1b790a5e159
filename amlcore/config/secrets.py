"""Secrets: references to environment variables stay references, and no secret's value gets into a job."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from omegaconf import DictConfig, ListConfig, open_dict

from amlcore.config.grammar.scalars import ScalarRule, key_parts, scalar_rule
from amlcore.config.job import Job
from amlcore.errors import ConfigError
from amlcore.redaction import MIN_LENGTH, holds
from amlcore.worker.references import REFERENCE
from amlcore.worker.values import text

REFERENCE_KEYS = ("script.environment_variables", "script.arguments")
"""The keys whose references the worker resolves, in the script's process alone."""

RESOLVED = (
    *("experiment_name", "script.source_directory", "script.script", "script.module", "script.inputs"),
    *("environment.file", "environment.python", "workspace.environments_folder"),
    *("model.name", "model.path", "model.sample_input", "deployment.name", "deployment.base_image", "compute"),
)
"""Keys whose references amlcore resolves itself, since it needs their values: paths and names."""

NOT_RESOLVED = ("compute.setup", "compute.options")
"""The keys below those whose references are refused."""

OPEN = re.compile(r"(?<!\\)((?:\\\\)*)\$\{\s*oc\.env\s*:")
WHOLE = re.compile(r"(\\*)(\$\{oc\.env:[^{}]*\})")


def keep_references(config: DictConfig) -> None:
    """Let `${oc.env:NAME}` in a script's variables and arguments stay a reference, and refuse it in free texts.

    Raises
    ------
    ConfigError
        A reference would be recorded with its value: it is in a free text, or in another interpolation.
    """
    with open_dict(config):
        for parent, name, key, raw in list(_references(config, ())):
            if _starts(key, REFERENCE_KEYS):
                parent[name] = _escape_references(raw, ".".join(key))
            elif not _may_be_resolved(key):
                raise ConfigError(
                    f"{'.'.join(key)}: {raw} would be recorded with its value; references to environment variables "
                    f"stay references in {' and '.join(REFERENCE_KEYS)}, and are resolved only in numbers and in "
                    f"{', '.join(RESOLVED)} (but not in {' and '.join(NOT_RESOLVED)})"
                )


def _references(node: Any, path: tuple[str, ...]) -> Iterator[tuple[Any, Any, tuple[str, ...], str]]:
    """The texts with references below `node`: the node and the name they are at, their key, and the text."""
    if node._is_none() or node._is_missing() or node._is_interpolation():
        return
    for name in list(node) if isinstance(node, DictConfig) else range(len(node)):
        child = node._get_node(name)
        key = _key(path, name) if isinstance(node, DictConfig) else path
        if isinstance(child, DictConfig | ListConfig) and not child._is_interpolation():
            yield from _references(child, key)
        elif child is not None and isinstance(raw := child._value(), str) and OPEN.search(raw):
            yield node, name, key, raw


def _key(path: tuple[str, ...], name: Any) -> tuple[str, ...]:
    if path == ("sweep", "search_space"):  # there the reference belongs to the key that is searched
        return key_parts(str(name).lstrip("+"))
    return (*path, str(name))


def is_resolved_at_start(key: str, value: Any) -> bool:
    """Whether `value` holds a reference, at a key where the worker would not resolve it."""
    return OPEN.search(str(value)) is not None and not _starts(key_parts(key), REFERENCE_KEYS)


def _starts(key: tuple[str, ...], dotted_keys: tuple[str, ...]) -> bool:
    return any(f"{'.'.join(key)}.".startswith(f"{dotted}.") for dotted in dotted_keys)


def _may_be_resolved(key: tuple[str, ...]) -> bool:
    is_number = scalar_rule(key) is ScalarRule.kept
    return (is_number or _starts(key, RESOLVED)) and not _starts(key, NOT_RESOLVED)


def _escape_references(raw: str, key: str) -> str:
    plain = OPEN.sub(r"\1${oc.env:", raw)

    def escape(match: re.Match[str]) -> str:
        backslashes, reference = match.groups()
        if len(backslashes) % 2:  # it is escaped already
            return str(match[0])
        return f"{backslashes * 2}\\{reference}"

    for match in OPEN.finditer(plain):
        before = plain[: match.start()]
        if before.count("${") > before.count("}"):
            raise ConfigError(f"{key}: ${{oc.env:…}} inside another interpolation would be recorded with its value")
    escaped = WHOLE.sub(escape, plain)
    if OPEN.search(escaped):
        raise ConfigError(f"{key}: {raw} would be recorded with its value; the default must be a plain text")
    return escaped


def check_secrets(job: Job, overrides: list[str]) -> None:
    """Refuse a job that holds the value of a variable that `workspace.secrets` names.

    Raises
    ------
    ConfigError
        It does; the message says where, without the value.
    """
    for name in job.workspace.secrets:
        value = job.script.environment_variables.get(name)
        if value is not None and not REFERENCE.search(value):
            raise ConfigError(
                f"script.environment_variables.{name}: workspace.secrets names it, so its value must not be recorded; "
                f"write ${{oc.env:{name}}}"
            )
        secret = os.environ.get(name, "").strip()  # $(cat FILE) and the like leave a line's end
        if secret:
            _check_absent(name, secret, job, overrides)


def _check_absent(name: str, secret: str, job: Job, overrides: list[str]) -> None:
    instead = f"write ${{oc.env:{name}}} in script.environment_variables or script.arguments"
    for override in overrides:
        if _holds(override.partition("=")[2], secret):
            raise ConfigError(f"{override.partition('=')[0]}: holds the value of {name}, a secret; {instead}")
    script = replace(job.script, environment=None, compute_target=None)
    for key, value in _scalars(asdict(replace(job, script=script)), ""):
        if _holds(value, secret) if isinstance(value, str) else text(value) == secret:
            raise ConfigError(f"{key}: holds the value of {name}, a secret, and would be recorded; {instead}")


def _holds(value: str, secret: str) -> bool:
    return holds(value, secret) if len(secret) >= MIN_LENGTH else secret == value


def _scalars(value: Any, key: str) -> Iterator[tuple[str, str | int | float]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _scalars(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _scalars(item, key)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield key, value
