"""The Space: all parameters of a sweep, with what each may be."""

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
MANY = 100
"""So many choices, at most, stand in a message."""


class Space(Mapping[str, Dimension]):
    """Dimensions by their keys; one that depends on another comes after it.

    Raises
    ------
    ConfigError
        A condition names what the space does not have, or values that it never takes.
    """

    def __init__(self, dimensions: Mapping[str, Dimension]) -> None:
        self._dimensions: dict[str, Dimension] = {}
        waiting = dict(dimensions)
        for key, dimension in dimensions.items():
            self._check_condition(key, dimension, dimensions)
        while waiting:
            ready = [key for key, dimension in waiting.items() if not dimension.when.keys() & waiting.keys()]
            if not ready:
                raise ConfigError(f"sweep.search_space: {', '.join(waiting)} depend on each other in a circle")
            for key in ready:
                self._dimensions[key] = waiting.pop(key)

    def __getitem__(self, key: str) -> Dimension:
        return self._dimensions[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._dimensions)

    def __len__(self) -> int:
        return len(self._dimensions)

    def draw(self, trial: Trial, *, by_place: bool = False) -> Values:
        """The values of `trial`; a parameter whose condition does not hold has none."""
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
        """How many points there are; None where they cannot be counted."""
        listed = {key: dimension.listed for key, dimension in self.items()}
        counted = {key: values for key, values in listed.items() if values is not None}
        return Grid(counted, self._conditions).size if len(counted) == len(listed) else None

    @property
    def _conditions(self) -> dict[str, dict[str, set[int]]]:
        return {
            key: {other: self[other].places(allowed) for other, allowed in dimension.when.items()}
            for key, dimension in self.items()
        }

    def choices_of(self, keys: Collection[str]) -> list[Values]:
        """The values that `keys`, which are choices, take together in some point; one may have none in a point."""
        found: list[Values] = [{}]
        for key in (key for key in self if key in keys):
            when = self[key].when
            within = {other: allowed for other, allowed in when.items() if other in keys}
            extended: list[Values] = []
            for values in found:
                holds = self._holds(within, values)
                if holds:
                    extended += ({**values, key: choice} for choice in self[key].choices)
                if not holds or within != when:
                    extended.append(values)
            found = extended
        return found

    def may_hold(self, key: str, choices: Values, keys: Collection[str]) -> bool:
        """Whether `key` can have a value where the groups of options `keys` are chosen as `choices` says."""
        conditions = [(other, allowed) for other, allowed in self[key].when.items() if other in keys]
        return all(text(choices.get(other)) in map(text, allowed) for other, allowed in conditions)

    def holds(self, values: Values) -> bool:
        """Whether `values` are those of the parameters that exist together."""
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
    def _check_condition(key: str, dimension: Dimension, known: Mapping[str, Dimension]) -> None:
        for other, values in dimension.when.items():
            if other not in known:
                raise ConfigError(f"sweep.search_space.{key}: when: {other}: {must_be(other, set(known) - {key})}")
            for value in values:
                if known[other].kind is Kind.choice and not known[other].has(value):
                    said = must_be(text(value), map(text, known[other].choices[:MANY]))
                    raise ConfigError(f"sweep.search_space.{key}: when: {other}={text(value)}: {said}")

    def _holds(self, when: Mapping[str, tuple[Any, ...]], values: Values) -> bool:
        return all(key in values and self[key].is_among(values[key], allowed) for key, allowed in when.items())
