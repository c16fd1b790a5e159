"""The Search: what a sweep's overrides mean, composed and checked before its first trial."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from omegaconf import Container, DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigKeyError

from amlcore.config.grammar.escaping import escape_interpolations
from amlcore.config.grammar.scalars import key_parts
from amlcore.config.job import Job, job_config
from amlcore.config.key_references import KeyReference
from amlcore.config.sweep_overrides import (
    format_value,
)
from amlcore.sweep import Space, Sweep, Values
from amlcore.sweep.dimension import typed_key
from amlcore.sweep.points import repetition_note

LIMITS = (
    *("max_total_runs", "max_concurrent_runs", "max_duration_minutes", "trial_timeout_min", "max_failures", "resume"),
    *("warm_start", "plots"),
    "search_space",  # compared as the Space that it means
)


@dataclass(frozen=True)
class Base:
    """A job composed for one choice of the swept groups; its trials only differ in values."""

    choices: dict[str, str]
    job: Job
    added: list[str] = field(default_factory=list)  # keys that only the search space added
    references: list[KeyReference] = field(default_factory=list)  # to keys that vary among its trials

    def with_values(self, values: Values) -> Job:
        """The job of one run with some of its values set; an added key without a value is removed."""
        removed = [key for key in self.added if key not in values]
        changed = [*(key_parts(key)[0] for key in (*removed, *values)), *(str(one.path[0]) for one in self.references)]
        parts = self._copied(changed)
        for reference in self.references:
            *parents, name = reference.path
            node: Any = parts
            for parent in parents:
                node = node[parent]
            node[name] = reference.text
        for key in (*removed, *values):
            noun, *inner, last = key_parts(key)
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

    def _copied(self, nouns: list[str]) -> dict[str, Any]:
        """Copies of these parts of the configuration, which references are resolved among."""
        if self.references:
            config = deepcopy(self._config)
            return {noun: config[noun] for noun in nouns}
        # Copy only what changes: copying all would double the time that a trial takes to start.
        return {noun: deepcopy(self._config[noun]) for noun in dict.fromkeys(nouns)}

    @property
    def _references(self) -> list[Any]:
        return [[list(one.path), one.text] for one in self.references]

    @cached_property
    def _same(self) -> Job:
        return Job.from_config(self._config)

    @cached_property
    def _config(self) -> DictConfig:
        config = job_config(replace(self.job, sweep=None).to_value())
        OmegaConf.set_struct(config, True)
        return config


@dataclass(frozen=True)
class Search:
    """The jobs that a sweep starts from, and the search space."""

    bases: list[Base]
    space: Space
    overrides: list[str]  # the same for all trials

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
        """The number of trials, if nothing ends the sweep earlier."""
        limits = [self.sweep.max_total_runs, self.points if self.sweep.is_grid else None]
        return min(limit for limit in limits if limit is not None)

    @cached_property
    def points(self) -> int | None:
        """The number of points in the space; None if they cannot be counted."""
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
        """A job for each environment of the sweep, whether it varies as a group or by its keys."""
        keys = [key for key in self.space if key.startswith("environment.")]
        for base in self.bases:
            for ends in itertools.product(*(self.space[key].ends for key in keys)):
                yield base.with_values(dict(zip(keys, ends, strict=True))) if keys else base.job

    def trial(self, values: Values) -> tuple[Job, list[str]]:
        """The job of one trial, and the overrides that give the same job."""
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
        """The same search with other limits."""
        first = self.bases[0]
        return replace(self, bases=[replace(first, job=replace(first.job, sweep=sweep)), *self.bases[1:]])

    def is_same(self, other: Search) -> bool:
        """Whether both search the same space for the same job; limits may differ."""
        return typed_key(self._essence()) == typed_key(other._essence())

    def _essence(self) -> tuple[Any, ...]:
        bases = [(base.choices, replace(base.job, sweep=None).to_value(), base._references) for base in self.bases]
        sweep = {key: value for key, value in asdict(self.sweep).items() if key not in LIMITS}
        return str(sweep), bases, self.space.to_json()

    def to_json(self) -> dict[str, Any]:
        bases = [
            {
                "choices": base.choices,
                "job": base.job.to_value(),
                "added": base.added,
                "references": base._references,
            }
            for base in self.bases
        ]
        return {"bases": bases, "space": self.space.to_json(), "overrides": self.overrides}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Search:
        bases = [
            Base(
                base["choices"],
                Job.from_value(base["job"]),
                base["added"],
                [KeyReference(tuple(path), text) for path, text in base.get("references", ())],  # absent up to 0.1
            )
            for base in value["bases"]
        ]
        return cls(bases, Space.from_json(value["space"]), value["overrides"])
