"""Swept overrides: the first value of each, which the sweep's own job is composed with, and values as overrides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from amlcore.config.grammar.escaping import quote_value
from amlcore.config.grammar.override_parser import prefixed_key_of
from amlcore.config.space import error_prefix
from amlcore.errors import ConfigError
from amlcore.sweep import Dimension
from amlcore.sweep.steps import Steps
from amlcore.worker.values import text


def first_swept_value(override: Override) -> str:
    """The first value of a swept override, as Hydra's grammar takes it."""
    value = override.value()
    if isinstance(value, IntervalSweep):
        return str(value.start)
    if isinstance(value, RangeSweep):
        assert value.start is not None
        assert value.stop is not None
        with error_prefix(str(override.input_line)):
            numbers = Steps.before(value.start, value.stop, value.step)
            return text(numbers[0] if numbers else value.start)
    for item in override.sweep_string_iterator():
        return item
    raise ConfigError(f"{override.input_line}: needs at least one value")


def first_value(dimension: Dimension) -> str:
    """A value that stands for a dimension, as Hydra's grammar takes it."""
    value = dimension.ends[0]
    return quote_value(value) if isinstance(value, str) else format_value(value)


def with_first_value(override: Override) -> str:
    """The override with its first value alone."""
    return f"{prefixed_key_of(override)}={first_swept_value(override)}"


def format_value(value: Any) -> str:
    """A value as the overrides of a trial show it."""
    if isinstance(value, list | dict):
        return yaml.safe_dump(value, default_flow_style=True).partition("\n")[0]
    return text(value)


@contextmanager
def showing_typed_overrides(swept: list[Override]) -> Iterator[None]:
    """Show the whole override in an error, of which only the first value was composed."""
    try:
        yield
    except ConfigError as error:
        message = str(error)
        for item in swept:
            message = message.replace(
                f"(on the command line: {with_first_value(item)})", f"(on the command line: {item.input_line})"
            )
        raise ConfigError(message) from None
