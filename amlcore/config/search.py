"""The Search: what a sweep's overrides mean, composed and checked before its first trial."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from hydra.core.object_type import ObjectType
from hydra.types import RunMode
from omegaconf import Container, DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from amlcore.config.composition import add_implied_choices, compose, compose_declared, explaining_errors, loader
from amlcore.config.grammar.override_parser import key_of, parent_of, parser
from amlcore.config.grammar.requirement_lists import merge_requirement_lists
from amlcore.config.grammar.scalars import key_parts
from amlcore.config.job import Job, escape_interpolations, job_config
from amlcore.config.secrets import check_secrets
from amlcore.config.space import build_space, error_prefix, flatten, parse_azure_override
from amlcore.config.sweep_overrides import (
    first_swept_value,
    first_value,
    format_value,
    showing_typed_overrides,
    with_first_value,
)
from amlcore.errors import ConfigError
from amlcore.sweep import Dimension, Space, Sweep, Values
from amlcore.sweep.azure import is_call
from amlcore.sweep.dimension import identity
from amlcore.sweep.points import repetition_note
from amlcore.sweep.sampler import SAMPLERS
from amlcore.worker.values import text

SAME_FOR_ALL = ("workspace", "sweep", "model", "deployment", "experiment_name")
LIMITS = (
    *("max_total_runs", "max_concurrent_runs", "max_duration_minutes", "trial_timeout_min", "max_failures", "resume"),
    *("warm_start", "plots"),
    "search_space",  # what it means is compared, in the Space
)


@dataclass(frozen=True)
class Base:
    """A job as composed for one choice of the groups that a sweep goes over; its trials differ in values alone."""

    choices: dict[str, str]
    job: Job
    added: list[str] = field(default_factory=list)  # keys that only the search space put there

    def with_values(self, values: Values) -> Job:
        """The job with some of its values set; it is one run, and no sweep. An added key without a value is gone."""
        parts: dict[str, DictConfig] = {}
        for key in (*self.added, *values):
            noun, *inner, last = key_parts(key)
            # Only what is touched is copied: the whole would take as long as all the rest of a trial's start.
            if noun not in parts:
                parts[noun] = deepcopy(self._config[noun])
            parent = OmegaConf.select(parts[noun], ".".join(inner)) if inner else parts[noun]
            if not isinstance(parent, Container):
                raise ConfigKeyError(key)
            if key in values:
                place = int(last) if isinstance(parent, ListConfig) and last.isdecimal() else last
                parent[place] = escape_interpolations(values[key])
            else:
                with open_dict(parent):
                    del parent[last]
        nouns: dict[str, Any] = {noun: OmegaConf.to_object(part) for noun, part in parts.items()}
        return replace(self._same, **nouns).rooted(self.job.workspace.path)

    @cached_property
    def _same(self) -> Job:
        return Job.from_config(self._config)

    @cached_property
    def _config(self) -> DictConfig:
        config = job_config(yaml.safe_load(replace(self.job, sweep=None).to_yaml()))
        OmegaConf.set_struct(config, True)
        return config


@dataclass(frozen=True)
class Search:
    """The jobs that a sweep starts from, and the space of what it varies in them."""

    bases: list[Base]
    space: Space
    overrides: list[str]  # those that are the same for all trials

    @property
    def job(self) -> Job:
        """The job of the sweep itself."""
        return self.bases[0].job

    @property
    def sweep(self) -> Sweep:
        assert self.job.sweep is not None
        return self.job.sweep

    @property
    def total(self) -> int:
        """How many trials there will be, if nothing ends the sweep before."""
        limits = [self.sweep.max_total_runs, self.points if self.sweep.is_grid else None]
        return min(limit for limit in limits if limit is not None)

    @cached_property
    def points(self) -> int | None:
        """How many points the space has; None where they cannot be counted."""
        return self.space.points

    @cached_property
    def groups(self) -> set[str]:
        """The groups among the keys of the space."""
        return {key for base in self.bases for key in base.choices}

    def repetition_note(self, overrides: list[str]) -> str | None:
        """What to say where the space has fewer points than there are trials; `overrides` as they were typed."""
        typed = {override[1:].partition("=")[0] for override in overrides if override.startswith("+")}
        return repetition_note(self.sweep, self.space, added=typed.union(*(base.added for base in self.bases)))

    def in_each_environment(self) -> Iterator[Job]:
        """A job for each environment that the sweep goes over, whether as a group or by one of its keys."""
        keys = [key for key in self.space if key.startswith("environment.")]
        for base in self.bases:
            for ends in itertools.product(*(self.space[key].ends for key in keys)):
                yield base.with_values(dict(zip(keys, ends, strict=True))) if keys else base.job

    def trial(self, values: Values) -> tuple[Job, list[str]]:
        """The job of one trial, and the overrides that it stands for."""
        choices = {key: str(value) for key, value in values.items() if key in self.groups}
        base = next(base for base in self.bases if base.choices == choices)
        job = base.with_values({key: value for key, value in values.items() if key not in choices})
        same = [
            override
            for override in self.overrides
            if not override.lstrip("+~").startswith(("sweep=", "sweep.", "sweep/"))
        ]
        return job, [*same, *(f"{key}={format_value(value)}" for key, value in values.items())]

    def may_hold(self, key: str, base: Base) -> bool:
        """Whether a trial of `base` can have a value of `key`."""
        return self.space.may_hold(key, dict(base.choices), self.groups)

    def with_sweep(self, sweep: Sweep) -> Search:
        """The same search under the limits of another declaration."""
        first = self.bases[0]
        return replace(self, bases=[replace(first, job=replace(first.job, sweep=sweep)), *self.bases[1:]])

    def is_same(self, other: Search) -> bool:
        """Whether both try the same: all but how long, how many and where."""
        return identity(self._essence()) == identity(other._essence())

    def _essence(self) -> tuple[Any, ...]:
        bases = [(base.choices, replace(base.job, sweep=None).to_yaml()) for base in self.bases]
        sweep = {key: value for key, value in asdict(self.sweep).items() if key not in LIMITS}
        return str(sweep), bases, self.space.to_json()

    def to_json(self) -> dict[str, Any]:
        bases = [
            {"choices": base.choices, "job": yaml.safe_load(base.job.to_yaml()), "added": base.added}
            for base in self.bases
        ]
        return {"bases": bases, "space": self.space.to_json(), "overrides": self.overrides}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Search:
        bases = [Base(base["choices"], Job.from_value(base["job"]), base["added"]) for base in value["bases"]]
        return cls(bases, Space.from_json(value["space"]), value["overrides"])


def compose_search(overrides: list[str], *, root: Path, config_name: str = "config") -> Search | None:
    """What `overrides` with several values, and the search space of their `sweep`, ask for; None where it is no sweep.

    Raises
    ------
    ConfigError
        A key, a value, an option or the space is wrong.
    """
    overrides = merge_requirement_lists(overrides)
    azures = [
        item for item in overrides if is_call(item.partition("=")[2]) and not item.startswith(("sweep", "+sweep"))
    ]
    with explaining_errors(root, overrides, config_name=config_name):
        others = [override for override in overrides if override not in azures]
        parsed = parser(loader()).parse_overrides(others)
        fixed = [str(item.input_line) for item in parsed if not item.is_sweep_override()]
        swept = [item for item in parsed if item.is_sweep_override()]
        if not _chooses_sweep(add_implied_choices(fixed, root=root, config_name=config_name), config_name):
            if not swept and not azures:
                return None
            fixed = ["sweep=grid", *(item for item in fixed if item != "sweep=none")]
        groups = [item for item in swept if _options(key_of(item))]
        values = [item for item in swept if item not in groups]
        in_azures_terms = dict(map(parse_azure_override, azures))
        firsts = [
            *map(with_first_value, values),
            *(f"{key}={first_value(item)}" for key, item in in_azures_terms.items()),
        ]
        first = [*fixed, *(f"{key_of(item)}={first_swept_value(item)}" for item in groups), *firsts]
    with showing_typed_overrides(values):
        job = compose(first, root=root, config_name=config_name)
    assert job.sweep is not None
    with explaining_errors(root, first, config_name=config_name) as explainer:
        try:
            space = build_space(job.sweep, swept, {key.lstrip("+"): item for key, item in in_azures_terms.items()})
        except ConfigError as error:
            if str(error).startswith(tuple(overrides)):  # it shows what was written
                raise
            raise explainer.located(error) from None
    given = {*map(key_of, swept), *(key.lstrip("+") for key in in_azures_terms)}
    added = [key[1:] for key, _ in flatten(job.sweep.search_space) if key.startswith("+") and key[1:] not in given]
    groups_chosen = [key for key in space if _options(key)]
    bases, declared = [], []
    for combination in space.choices_of(groups_chosen):
        choices = {key: str(name) for key, name in combination.items()}
        here = [key for key in added if space.may_hold(key, combination, groups_chosen)]
        words = [*fixed, *(f"{key}={name}" for key, name in choices.items()), *firsts]
        words += [f"+{key}={first_value(space[key])}" for key in here]
        declared.append(compose_declared(words, root=root, config_name=config_name))
        bases.append(Base(choices, declared[-1].in_chosen_environment(), here))
    search = Search(bases, space, fixed)
    if search.job.workspace.secrets:
        every_choice = [f"{key}={text(choice)}" for key, item in space.items() for choice in item.ends]
        check_secrets(search.job, [*overrides, *every_choice])
    _check(search)
    for base, job in zip(bases, declared, strict=True):
        _check_one_environment(base, job, space)
    return search


def _check_one_environment(base: Base, declared: Job, space: Space) -> None:
    """Refuse scripts for which `environment=auto` means different environments: all trials of a base have the same."""
    for key in space.keys() & {"script.script", "script.module", "script.source_directory"}:
        for value in space[key].ends:
            trial = base.with_values({key: value})
            found = replace(trial, environment=declared.environment).in_chosen_environment().environment
            if replace(found, chosen=None) != replace(base.job.environment, chosen=None):
                raise ConfigError(
                    f"{key}={value}: has another environment than the first ({found.chosen or found.name}; of the "
                    f"first: {base.job.environment.chosen or base.job.environment.name}); choose one for all by "
                    "environment=NAME or environment.file=PATH"
                )


def _chooses_sweep(overrides: list[str], config_name: str) -> bool:
    # An option inside of the sweep is known only once there is one.
    outside = [override for override in overrides if not override.lstrip("+~").startswith("sweep/")]
    listed = loader().compute_defaults_list(config_name, outside, RunMode.RUN)
    return listed.overrides.known_choices.get("sweep", "none") != "none"


def _check(search: Search) -> None:
    """Make sure that the schema takes every end of every dimension."""
    for key in search.space:
        if key.partition(".")[0] in SAME_FOR_ALL or key == "compute.slots":
            several = f", or a list: {key}=[a,b]" if key in ("sweep.primary_metric", "sweep.goal") else ""
            raise ConfigError(f"{key}: is the same for all trials of a sweep; give it one value{several}")
    search.sweep.check()
    numbers = SAMPLERS[search.sweep.sampler].numbers
    if sum(dimension.kind != "choice" for dimension in search.space.values()) < numbers:
        raise ConfigError(
            f"sweep.sampler={search.sweep.sampler} needs at least {numbers} parameters that are numbers, such as "
            "KEY=interval(0,1) or KEY=range(1,9); sweep=tpe takes any"
        )
    for base in search.bases:
        for key in search.space.keys() - search.groups:
            for value in _standing_for_all(key, search.space[key]) if search.may_hold(key, base) else ():
                _check_value(base, key, value)


def _standing_for_all(key: str, dimension: Dimension) -> list[Any]:
    """Values of `dimension` such that the schema takes all where it takes these."""
    if not key.startswith("script.arguments."):
        return dimension.ends
    # An argument may be of any type: one text is checked for many, but for those that no command line can hold.
    found: dict[Any, Any] = {}
    for number, value in enumerate(dimension.ends):
        alike = not isinstance(value, list | dict) and not (isinstance(value, str) and "\0" in value)
        found.setdefault(type(value) if alike else number, value)
    return list(found.values())


def _check_value(base: Base, key: str, value: Any) -> None:
    with error_prefix(f"{key}={format_value(value)}"):
        try:
            base.with_values({key: value})
        except (ConfigAttributeError, ConfigKeyError):
            raise ConfigError(
                f"sweep.search_space.{key}: there is no such key; `+{key}` adds it to {parent_of(key)}"
            ) from None


def _options(key: str) -> list[str]:
    return loader().get_group_options(key, ObjectType.CONFIG) if "." not in key else []
