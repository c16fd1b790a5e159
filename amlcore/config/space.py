"""The search space, from the command line (Hydra's or Azure ML's terms) and from YAML."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.core.override_parser.types import Sweep as SweepValue
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from amlcore.config.grammar.override_parser import key_of, parser
from amlcore.config.session import loader
from amlcore.errors import ConfigError
from amlcore.sweep import Dimension, Space, Sweep
from amlcore.sweep.azure import dimension_of_call, dimension_of_mapping, is_call

LOG = "log"

MOST_SHUFFLED = 1_000_000
RESOLVED_BY_WORKER = re.compile(r"\$\{\s*(?:oc\.env|input)\s*:[^{}]*\}")


def build_space(sweep: Sweep, swept: list[Override], in_azures_terms: Mapping[str, Dimension]) -> Space:
    """The space of YAML and command line together; for a key in both, the command line wins."""
    dimensions: dict[str, Dimension] = {}
    for key, written in flatten(sweep.search_space):
        with error_prefix(f"sweep.search_space.{key}"):
            dimensions[key.removeprefix("+")] = _dimension(key, written, grid=sweep.is_grid)
    for item in swept:
        with error_prefix(str(item.input_line)):
            dimensions[key_of(item)] = _override_dimension(item, grid=sweep.is_grid)
    for key, dimension in in_azures_terms.items():
        if sweep.is_grid:
            raise ConfigError(f"{key}: a grid cannot try every value of a range; use sweep=random or sweep=tpe")
        dimensions[key] = dimension
    if not dimensions:
        raise ConfigError(
            "sweep.search_space is empty; use several values (-m KEY=a,b) or a range (-m 'KEY=interval(0,1)')"
        )
    return Space(dimensions)


def parse_azure_override(override: str) -> tuple[str, Dimension]:
    """The key and the dimension of an override in Azure ML's form, KEY=uniform(0, 1), which Hydra cannot parse."""
    key, _, written = override.partition("=")
    with error_prefix(override):
        return key, dimension_of_call(written)


def flatten(written: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The keys of a search space with their definitions; nested keys are joined by dots."""
    for name, value in written.items():
        if isinstance(value, Mapping) and not {"type", "values", "when"} & value.keys():
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _dimension(key: str, written: Any, *, grid: bool) -> Dimension:
    """The dimension that a definition in `sweep.search_space` means."""
    when: Mapping[str, tuple[Any, ...]] = {}
    if isinstance(written, Mapping) and "when" in written:
        when = {
            str(other): tuple(allowed if isinstance(allowed, list) else [allowed])
            for other, allowed in written["when"].items()
        }
        rest = {name: value for name, value in written.items() if name != "when"}
        written = rest["values"] if set(rest) == {"values"} else rest
    if isinstance(written, list):
        dimension = Dimension.of(written)
    elif isinstance(written, Mapping) and "type" in written:
        dimension = dimension_of_mapping(written)
    elif isinstance(written, str) and is_call(written):
        dimension = dimension_of_call(written)
    else:
        override = parser(loader()).parse_override(f"{key}={written}")
        if not override.is_sweep_override():
            raise ConfigError(
                f"{written!r} is not a range; use a list, choice(a,b), range(1,10), interval(0,1), "
                "or Azure ML's {type: uniform, min_value: 0, max_value: 1}"
            )
        dimension = _override_dimension(override, grid=grid)
    if grid and dimension.kind != "choice":
        raise ConfigError("a grid needs lists, or ranges with whole steps; use sweep=random or sweep=tpe for this")
    return dimension.with_condition(when)


def _override_dimension(override: Override, *, grid: bool) -> Dimension:
    """The dimension of an override as Hydra's own sweepers read it: a range includes its end except in a grid."""
    value = override.value()
    _check_tags(value, grid=grid)
    if isinstance(value, IntervalSweep):
        if grid:
            raise ConfigError("a grid cannot try every value of an interval; use sweep=random or sweep=tpe")
        assert value.start is not None
        assert value.end is not None
        return Dimension.between(value.start, value.end, log=LOG in value.tags)
    if isinstance(value, RangeSweep):
        assert value.start is not None
        assert value.stop is not None
        if not grid and not value.shuffle:
            return Dimension.stepping(value.start, value.stop, step=value.step, log=LOG in value.tags)
        return _range(value)
    choices = [Override._convert_value(cast(Any, item)) for item in override.sweep_iterator()]
    for choice in choices:
        if "${" in RESOLVED_BY_WORKER.sub("", str(choice)):
            raise ConfigError(f"{choice} would not be resolved; a value of a sweep cannot refer to another key")
    return Dimension.of(choices)


def _range(value: RangeSweep) -> Dimension:
    """The numbers of a range in a grid, without listing them unless they must be shuffled."""
    assert value.start is not None
    assert value.stop is not None
    dimension = Dimension.spaced(value.start, value.stop, value.step)
    if not value.shuffle:
        return dimension
    if len(dimension.choices) > MOST_SHUFFLED:
        raise ConfigError(f"{len(dimension.choices)} values are too many to shuffle; use sweep=random")
    return Dimension.of(random.sample(dimension.choices, len(dimension.choices)))


def _check_tags(value: Any, *, grid: bool) -> None:
    """Refuse tags that would have no effect."""
    tags = {LOG} & value.tags if isinstance(value, SweepValue) else set()  # other tags mean nothing to Hydra either
    if tags and not isinstance(value, RangeSweep | IntervalSweep):
        raise ConfigError("tag(log, …) needs a range or an interval; choices have no scale")
    if tags and isinstance(value, RangeSweep) and (grid or value.shuffle):
        raise ConfigError("a grid tries each value of a range once; remove the tag, or use sweep=tpe")


@contextmanager
def error_prefix(name: str) -> Iterator[None]:
    """Begin an error with `name`, unless it names what was wrong already."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(f"{name}: {str(error).strip().partition(chr(10))[0]}") from None
    except ConfigError as error:
        if str(error).startswith((name, "sweep.search_space")):
            raise
        raise ConfigError(f"{name}: {error}") from None
