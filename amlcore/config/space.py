"""What the words of a search space mean: those of the command line, in Hydra's terms or v1's, and those of YAML."""

from __future__ import annotations

import random
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


def build_space(sweep: Sweep, swept: list[Override], in_azures_terms: Mapping[str, Dimension]) -> Space:
    """The space of YAML and command line together; what the command line says of a key counts."""
    dimensions: dict[str, Dimension] = {}
    for key, written in flatten(sweep.search_space):
        with error_prefix(f"sweep.search_space.{key}"):
            dimensions[key.removeprefix("+")] = _dimension(key, written, grid=sweep.is_grid)
    for item in swept:
        with error_prefix(str(item.input_line)):
            dimensions[key_of(item)] = _of_override(item, grid=sweep.is_grid)
    for key, dimension in in_azures_terms.items():
        if sweep.is_grid:
            raise ConfigError(f"{key}: a grid cannot try every value of a range; choose sweep=random or sweep=tpe")
        dimensions[key] = dimension
    if not dimensions:
        raise ConfigError(
            "sweep.search_space is empty; give a key several values (-m KEY=a,b) or a range (-m 'KEY=interval(0,1)')"
        )
    return Space(dimensions)


def parse_azure_override(override: str) -> tuple[str, Dimension]:
    """The key and the dimension of an override in v1's form, KEY=uniform(0, 1), which Hydra's grammar does not have."""
    key, _, written = override.partition("=")
    with error_prefix(override):
        return key, dimension_of_call(written)


def flatten(written: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The keys of a search space with what stands behind each, nested or with dots in them."""
    for name, value in written.items():
        if isinstance(value, Mapping) and not {"type", "values", "when"} & value.keys():
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _dimension(key: str, written: Any, *, grid: bool) -> Dimension:
    """The dimension that a value of `sweep.search_space` means."""
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
                f"{written!r} is no range; write a list, choice(a,b), range(1,10), interval(0,1), "
                "or Azure ML's {type: uniform, min_value: 0, max_value: 1}"
            )
        dimension = _of_override(override, grid=grid)
    if grid and dimension.kind != "choice":
        raise ConfigError("a grid takes lists and ranges of whole steps; choose sweep=random or sweep=tpe for this")
    return dimension.with_condition(when)


def _of_override(override: Override, *, grid: bool) -> Dimension:
    """The dimension of an override, as Hydra's own sweepers understand it: a range's end counts except in a grid."""
    value = override.value()
    _check_tags(value, grid=grid)
    if isinstance(value, IntervalSweep):
        if grid:
            raise ConfigError("a grid cannot try every value of an interval; choose sweep=random or sweep=tpe")
        assert value.start is not None
        assert value.end is not None
        return Dimension.between(value.start, value.end, log=LOG in value.tags)
    if isinstance(value, RangeSweep):
        assert value.start is not None
        assert value.stop is not None
        if not grid and not value.shuffle:
            return Dimension.stepping(value.start, value.stop, step=value.step, log=LOG in value.tags)
        return _range(value)
    return Dimension.of(Override._convert_value(cast(Any, item)) for item in override.sweep_iterator())


def _range(value: RangeSweep) -> Dimension:
    """The numbers of a range in a grid, none of which is laid down unless they are to be shuffled."""
    assert value.start is not None
    assert value.stop is not None
    found = Dimension.spaced(value.start, value.stop, value.step)
    if not value.shuffle:
        return found
    if len(found.choices) > MOST_SHUFFLED:
        raise ConfigError(f"{len(found.choices)} values are too many to shuffle; choose sweep=random")
    return Dimension.of(random.sample(found.choices, len(found.choices)))


def _check_tags(value: Any, *, grid: bool) -> None:
    """Refuse what a tag asks for and nothing would do."""
    tags = {LOG} & value.tags if isinstance(value, SweepValue) else set()  # others mean nothing to Hydra either
    if tags and not isinstance(value, RangeSweep | IntervalSweep):
        raise ConfigError("tag(log, …) takes a range or an interval; choices have no scale")
    if tags and isinstance(value, RangeSweep) and (grid or value.shuffle):
        raise ConfigError("a grid tries every value of a range alike; leave out the tag, or choose sweep=tpe")


@contextmanager
def error_prefix(name: str) -> Iterator[None]:
    """Puts the name of what was wrong before an error that only says why."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(f"{name}: {str(error).strip().partition(chr(10))[0]}") from None
    except ConfigError as error:
        if str(error).startswith((name, "sweep.search_space")):
            raise
        raise ConfigError(f"{name}: {error}") from None
