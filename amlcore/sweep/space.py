"""The Space: all parameters of a sweep, with the values that each may take."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from amlcore.errors import ConfigError, must_be
from amlcore.sweep.dimension import Dimension, Kind
from amlcore.sweep.grid import Grid
from amlcore.worker.values import text

if TYPE_CHECKING:
    from optuna.trial import Trial

Values = dict[str, Any]
MAX_CHOICES_SHOWN = 100
"""The choices that a message lists at most."""


class Space(Mapping[str, Dimension]):
    """Dimensions by key; a dimension comes after those that it depends on.

    Raises
    ------
    ConfigError
        A condition names a key that the space does not have, or a value that the key never takes.
    """

    def __init__(self, dimensions: Mapping[str, Dimension]) -> None:
        self._dimensions: dict[str, Dimension] = {}
        waiting = dict(dimensions)
        for key, dimension in dimensions.items():
            self._check_condition(key, dimension, dimensions)
        while waiting:
            ready = [key for key, dimension in waiting.items() if not dimension.when.keys() & waiting.keys()]
            if not ready:
                raise ConfigError(f"sweep.search_space: {', '.join(waiting)} depend on each other")
            for key in ready:
                self._dimensions[key] = waiting.pop(key)

    def __getitem__(self, key: str) -> Dimension:
        return self._dimensions[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._dimensions)

    def __len__(self) -> int:
        return len(self._dimensions)

    def draw(self, trial: Trial, *, by_place: bool = False) -> Values:
        """The values of `trial`; a parameter whose condition does not hold is left out."""
        values: Values = {}
        for key, dimension in self.items():
            if self._holds(dimension.when, values):
                values[key] = dimension.draw(key, trial, by_place=by_place)
        return values

    def grid(self) -> Grid:
        """All points of a space of choices."""
        return Grid({key: dimension.choices for key, dimension in self.items()}, self._conditions)

    @property
    def points(self) -> int | None:
        """The number of points; None if there are too many to count."""
        values = {key: dimension.all_values for key, dimension in self.items()}
        countable = {key: items for key, items in values.items() if items is not None}
        return Grid(countable, self._conditions).size if len(countable) == len(values) else None

    @property
    def _conditions(self) -> dict[str, dict[str, set[int]]]:
        return {
            key: {other: self[other].places(allowed) for other, allowed in dimension.when.items()}
            for key, dimension in self.items()
        }

    def choices_of(self, keys: Collection[str]) -> list[Values]:
        """All combinations of values that the choices `keys` take in some point; a key may be missing from one."""
        combinations: list[Values] = [{}]
        for key in (key for key in self if key in keys):
            when = self[key].when
            within = {other: allowed for other, allowed in when.items() if other in keys}
            extended: list[Values] = []
            for values in combinations:
                holds = self._holds(within, values)
                if holds:
                    extended += ({**values, key: choice} for choice in self[key].choices)
                if not holds or within != when:
                    extended.append(values)
            combinations = extended
        return combinations

    def may_hold(self, key: str, choices: Values, keys: Collection[str]) -> bool:
        """Whether `key` can exist if the groups `keys` are chosen as in `choices`."""
        conditions = [(other, allowed) for other, allowed in self[key].when.items() if other in keys]
        return all(text(choices.get(other)) in map(text, allowed) for other, allowed in conditions)

    def holds(self, values: Values) -> bool:
        """Whether `values` has exactly the parameters whose conditions hold."""
        return values.keys() == {key for key, dimension in self.items() if self._holds(dimension.when, values)}

    def describe(self) -> dict[str, str]:
        return {key: dimension.describe() for key, dimension in self.items()}

    def to_json(self) -> list[dict[str, Any]]:
        return [{"key": key, **dimension.to_json()} for key, dimension in self.items()]

    @classmethod
    def from_json(cls, value: list[dict[str, Any]]) -> Space:
        fields = [dict(item) for item in value]
        return cls({item.pop("key"): Dimension.from_json(item) for item in fields})

    @staticmethod
    def _check_condition(key: str, dimension: Dimension, dimensions: Mapping[str, Dimension]) -> None:
        for other, values in dimension.when.items():
            if other not in dimensions:
                raise ConfigError(f"sweep.search_space.{key}: when: {other}: {must_be(other, set(dimensions) - {key})}")
            for value in values:
                if dimensions[other].kind is Kind.choice and not dimensions[other].has(value):
                    problem = must_be(text(value), map(text, dimensions[other].choices[:MAX_CHOICES_SHOWN]))
                    raise ConfigError(f"sweep.search_space.{key}: when: {other}={text(value)}: {problem}")

    def _holds(self, when: Mapping[str, tuple[Any, ...]], values: Values) -> bool:
        return all(key in values and self[key].is_among(values[key], allowed) for key, allowed in when.items())
