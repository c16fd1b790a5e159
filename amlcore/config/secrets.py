"""Secrets: references to environment variables stay references, and no value of a named one gets into a job."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from amlcore.config.job import Job
from amlcore.errors import ConfigError
from amlcore.worker.references import REFERENCE
from amlcore.worker.values import text

ESCAPED = re.compile(r"(\\*)(\$\{oc\.env:[^{}]*\})")
LEAST_CHARACTERS = 4  # of a value that is looked for inside of others; a shorter one would be found by chance


def keep_references(config: DictConfig) -> None:
    """Let `${oc.env:NAME}` in a script's variables and arguments stand for itself: the worker resolves it.

    Raises
    ------
    ConfigError
        A reference stands inside of another interpolation, by which its value would be recorded.
    """
    for key in ("script.environment_variables", "script.arguments"):
        node = OmegaConf.select(config, key)
        if isinstance(node, DictConfig | ListConfig):
            with open_dict(config):
                _keep(node, key)


def _keep(node: DictConfig | ListConfig, key: str) -> None:
    if node._is_none() or node._is_missing() or node._is_interpolation():
        return
    for name in list(node) if isinstance(node, DictConfig) else range(len(node)):
        child = node._get_node(name)
        if isinstance(child, DictConfig | ListConfig):
            _keep(child, f"{key}.{name}")
        elif child is not None and isinstance(raw := child._value(), str) and "${oc.env:" in raw:  # type: ignore[union-attr]
            node[name] = _kept(raw, f"{key}.{name}")


def _kept(raw: str, key: str) -> str:
    for match in re.finditer(r"\$\{oc\.env:", raw):
        before = raw[: match.start()]
        if before.count("${") > before.count("}"):
            raise ConfigError(f"{key}: ${{oc.env:…}} inside of another interpolation would be recorded with its value")

    def escaped(match: re.Match[str]) -> str:
        backslashes, reference = match.groups()
        if len(backslashes) % 2:  # it is escaped already
            return str(match[0])
        return f"{backslashes * 2}\\{reference}"

    return ESCAPED.sub(escaped, raw)


def check_secrets(job: Job, overrides: list[str]) -> None:
    """Refuse a job that holds the value of a variable that `workspace.secrets` names.

    Raises
    ------
    ConfigError
        It does; the message tells where, and not the value.
    """
    for name in job.workspace.secrets:
        given = job.script.environment_variables.get(name)
        if given is not None and not REFERENCE.search(given):
            raise ConfigError(
                f"script.environment_variables.{name}: workspace.secrets names it, so that its value must not be "
                f"recorded; write ${{oc.env:{name}}}"
            )
        value = os.environ.get(name)
        if value:
            _check_value(name, value, job, overrides)


def _check_value(name: str, value: str, job: Job, overrides: list[str]) -> None:
    instead = f"write ${{oc.env:{name}}} in script.environment_variables or script.arguments"
    for override in overrides:
        if _holds(override.partition("=")[2], value):
            raise ConfigError(f"{override.partition('=')[0]}: holds the value of {name}, a secret; {instead}")
    script = replace(job.script, environment=None, compute_target=None)
    for key, held in _scalars(asdict(replace(job, script=script)), ""):
        if _holds(held, value) if isinstance(held, str) else text(held) == value:
            raise ConfigError(f"{key}: holds the value of {name}, a secret, and would be recorded; {instead}")


def _holds(words: str, value: str) -> bool:
    return value in words if len(value) >= LEAST_CHARACTERS else value == words


def _scalars(value: Any, key: str) -> Iterator[tuple[str, str | int | float]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _scalars(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _scalars(item, key)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield key, value
