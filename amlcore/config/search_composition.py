"""The composition of a sweep: overrides in, a Search out, checked before its first trial."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from amlcore.config.composition import add_implied_choices, compose_with_references
from amlcore.config.grammar.override_parser import key_of, parent_of, parser
from amlcore.config.grammar.requirement_lists import merge_requirement_lists
from amlcore.config.job import Job
from amlcore.config.key_references import KeyReference, following
from amlcore.config.search import Base, Search
from amlcore.config.secrets import check_secrets, is_resolved_at_start
from amlcore.config.session import explaining_errors, loader, session
from amlcore.config.space import build_space, error_prefix, flatten, parse_azure_override
from amlcore.config.sweep_overrides import (
    first_swept_value,
    first_value,
    format_value,
    showing_typed_overrides,
    with_first_value,
)
from amlcore.errors import ConfigError
from amlcore.log import timed
from amlcore.sweep import Dimension, Space, Sweep
from amlcore.sweep.azure import is_call
from amlcore.sweep.sampler import SAMPLERS
from amlcore.worker.values import text

SAME_FOR_ALL = ("workspace", "sweep", "model", "deployment", "experiment_name")
SAME_SCRIPT = ("script.source_directory", "script.script", "script.module")


@dataclass(frozen=True)
class _Typed:
    """The overrides as typed, by what a sweep makes of them."""

    fixed: list[str]  # the same for all trials
    swept: list[Override] = field(default_factory=list)  # several options of a group, several values of a key, a range
    groups: list[Override] = field(default_factory=list)  # those of `swept` that choose options
    azure: dict[str, Dimension] = field(default_factory=dict)  # ranges in Azure ML's form, by key with its +

    @property
    def values(self) -> list[Override]:
        return [item for item in self.swept if item not in self.groups]

    @cached_property
    def first_values(self) -> list[str]:
        """The first value of each key, by which the sweep's own job is composed and checked."""
        azure = [f"{key}={first_value(item)}" for key, item in self.azure.items()]
        return [*map(with_first_value, self.values), *azure]

    @property
    def first(self) -> list[str]:
        """The overrides with the first option and the first value of each."""
        groups = [f"{key_of(item)}={first_swept_value(item)}" for item in self.groups]
        return [*self.fixed, *groups, *self.first_values]


@timed
def compose_search(
    overrides: list[str], *, root: Path, config_name: str = "config", multirun: bool = True
) -> Search | Job:
    """The Search that `overrides` ask for, by several values or by the search space of their `sweep`; else the Job.

    Parameters
    ----------
    multirun: whether a key may have several values, as `aml run -m` allows.

    Raises
    ------
    ConfigError
        A key, a value, an option or the space is wrong.
    """
    overrides = merge_requirement_lists(overrides)

    @cache
    def compose_once(*words: str) -> tuple[Job, list[KeyReference]]:  # which takes about 90 ms
        return compose_with_references(list(words), root=root, config_name=config_name)

    with session(root):
        typed = _parse(overrides, root=root, config_name=config_name) if multirun else _Typed(overrides)
        with showing_typed_overrides(typed.values):
            job, _ = compose_once(*typed.first)
        if job.sweep is None:
            return job.in_chosen_environment()
        space = _space(job.sweep, typed, overrides, root=root, config_name=config_name)
        in_space = {*map(key_of, typed.swept), *(key.lstrip("+") for key in typed.azure)}
        flat = [key for key, _ in flatten(job.sweep.search_space)]
        added = [key[1:] for key in flat if key.startswith("+") and key[1:] not in in_space]
        groups = [key for key in space if _options(key)]
        bases, declared = [], []
        for combination in space.choices_of(groups):
            choices = {key: str(name) for key, name in combination.items()}
            keys = [key for key in added if space.may_hold(key, combination, groups)]
            chosen = [f"{key}={name}" for key, name in choices.items()]
            first_added = [f"+{key}={first_value(space[key])}" for key in keys]
            job, references = compose_once(*typed.fixed, *chosen, *typed.first_values, *first_added)
            declared.append(job)
            bases.append(Base(choices, job.in_chosen_environment(), keys, _varying(references, space, groups)))
    search = Search(bases, space, typed.fixed)
    if search.job.workspace.secrets:
        every_choice = [f"{key}={text(choice)}" for key, item in space.items() for choice in item.ends]
        check_secrets(search.job, [*overrides, *every_choice])
    _check(search)
    for base, job in zip(bases, declared, strict=True):
        _check_one_environment(base, job, space)
    return search


def _parse(overrides: list[str], *, root: Path, config_name: str) -> _Typed:
    azure = [item for item in overrides if is_call(item.partition("=")[2]) and not item.startswith(("sweep", "+sweep"))]
    with explaining_errors(root, overrides, config_name=config_name):
        parsed = parser(loader()).parse_overrides([override for override in overrides if override not in azure])
        fixed = [str(item.input_line) for item in parsed if not item.is_sweep_override()]
        swept = [item for item in parsed if item.is_sweep_override()]
        if (swept or azure) and not _chooses_sweep(fixed, root=root, config_name=config_name):
            fixed = ["sweep=grid", *(item for item in fixed if item != "sweep=none")]
        groups = [item for item in swept if _options(key_of(item))]
        return _Typed(fixed, swept, groups, dict(map(parse_azure_override, azure)))


def _chooses_sweep(overrides: list[str], *, root: Path, config_name: str) -> bool:
    choices = add_implied_choices(overrides, root=root, config_name=config_name)
    # An option inside the sweep only exists once a sweep is chosen.
    outside = [override for override in choices if not override.lstrip("+~").startswith("sweep/")]
    defaults = loader().compute_defaults_list(config_name, outside, RunMode.RUN)
    return defaults.overrides.known_choices.get("sweep", "none") != "none"


def _options(key: str) -> list[str]:
    return loader().get_group_options(key, ObjectType.CONFIG) if "." not in key else []


def _space(sweep: Sweep, typed: _Typed, overrides: list[str], *, root: Path, config_name: str) -> Space:
    with explaining_errors(root, typed.first, config_name=config_name) as explainer:
        try:
            return build_space(sweep, typed.swept, {key.lstrip("+"): item for key, item in typed.azure.items()})
        except ConfigError as error:
            if str(error).startswith(tuple(overrides)):  # it quotes what was typed
                raise
            raise explainer.located(error) from None


def _check_one_environment(base: Base, declared: Job, space: Space) -> None:
    """Refuse scripts for which `environment=auto` chooses different environments: the trials of a base share one."""
    for key in space.keys() & {"script.script", "script.module", "script.source_directory"}:
        for value in space[key].ends:
            trial = base.with_values({key: value})
            own = replace(trial, environment=declared.environment).in_chosen_environment().environment
            if replace(own, chosen=None) != replace(base.job.environment, chosen=None):
                raise ConfigError(
                    f"{key}={value}: has a different environment ({own.chosen or own.name}) from the first value "
                    f"({base.job.environment.chosen or base.job.environment.name}); choose one for all "
                    "with environment=NAME or environment.file=PATH"
                )


def _varying(references: list[KeyReference], space: Space, groups: list[str]) -> list[KeyReference]:
    """The references whose values differ between the trials of one choice of the groups.

    Raises
    ------
    ConfigError
        One is at a key that all trials share.
    """
    keys = [key for key in space if key not in groups and not _is_shared(key)]
    varying = following(references, keys)
    for reference, key in (following(references, groups) | varying).items():
        same_environment = reference in varying and (reference.key in SAME_SCRIPT or reference.path[0] == "environment")
        if _is_shared(reference.key) or same_environment:
            raise ConfigError(
                f"{reference.key}: {reference.text} refers to {key}, which varies in this sweep, but "
                f"{reference.key} must have one value for all trials"
            )
    return list(varying)


def _is_shared(key: str) -> bool:
    return re.split(r"[./]", key)[0] in SAME_FOR_ALL or key == "compute.slots"


def _check(search: Search) -> None:
    """Make sure that the schema accepts the ends of every dimension."""
    for key in search.space:
        if _is_shared(key):
            several = f", or a list: {key}=[a,b]" if key in ("sweep.primary_metric", "sweep.goal") else ""
            raise ConfigError(f"{key}: must have one value for all trials of a sweep{several}")
        for value in search.space[key].ends:
            if is_resolved_at_start(key, value):
                raise ConfigError(f"{key}={value}: only the script's arguments and variables can vary by references")
    search.sweep.check()
    numbers = SAMPLERS[search.sweep.sampler].numbers
    if sum(dimension.kind != "choice" for dimension in search.space.values()) < numbers:
        raise ConfigError(
            f"sweep.sampler={search.sweep.sampler} needs at least {numbers} numeric parameters, such as "
            "KEY=interval(0,1) or KEY=range(1,9); sweep=tpe takes parameters of any kind"
        )
    for base in search.bases:
        for key in search.space.keys() - search.groups:
            for value in _standing_for_all(key, search.space[key]) if search.may_hold(key, base) else ():
                _check_value(base, key, value)


def _standing_for_all(key: str, dimension: Dimension) -> list[Any]:
    """Values of `dimension` that stand for all: if the schema accepts these, it accepts the others."""
    if not key.startswith("script.arguments."):
        return dimension.ends
    # Arguments may be of any type, so one value of each type is enough, except for what no command line can hold.
    samples: dict[Any, Any] = {}
    for number, value in enumerate(dimension.ends):
        alike = not isinstance(value, list | dict) and not (isinstance(value, str) and "\0" in value)
        samples.setdefault(type(value) if alike else number, value)
    return list(samples.values())


def _check_value(base: Base, key: str, value: Any) -> None:
    with error_prefix(f"{key}={format_value(value)}"):
        try:
            base.with_values({key: value})
        except (ConfigAttributeError, ConfigKeyError):
            raise ConfigError(f"sweep.search_space.{key}: no such key; `+{key}` adds it to {parent_of(key)}") from None
