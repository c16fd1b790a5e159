"""The Grid: all points of a search space, computed from their number and never listed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Condition = tuple[int, int]
"""The index of a key that has a condition, and of the key that the condition is about."""


@dataclass
class Axis:
    """One key of a grid: the conditions under which it exists, and those that its values fulfil."""

    key: str
    choices: Sequence[Any]
    conditions: frozenset[Condition]
    fulfilled: dict[int, frozenset[Condition]] = field(default_factory=dict)  # by index, for values that fulfil any


class Grid:
    """Each point once, in the order of nested loops with the first key outermost.

    Parameters
    ----------
    choices : mapping
        The values of each key; one that depends on another comes after it.
    when : mapping
        key: the other keys that it depends on, each with the indices of the values under which it exists.
    """

    def __init__(self, choices: Mapping[str, Sequence[Any]], when: Mapping[str, Mapping[str, Collection[int]]]) -> None:
        index_of = {key: index for index, key in enumerate(choices)}
        self._axes = [
            Axis(key, choices[key], frozenset((index_of[key], index_of[other]) for other in when[key]))
            for key in choices
        ]
        for key, others in when.items():
            for other, allowed in others.items():
                axis = self._axes[index_of[other]]
                for index in allowed:
                    axis.fulfilled[index] = axis.fulfilled.get(index, frozenset()) | {(index_of[key], index_of[other])}
        for axis in self._axes:
            axis.fulfilled = dict(sorted(axis.fulfilled.items()))
        self._counts: dict[tuple[int, frozenset[Condition]], int] = {}

    @property
    def size(self) -> int:
        """The number of points."""
        return self._below(0, frozenset())

    def places(self, number: int) -> dict[str, int]:
        """Point `number`, as the index of each value among the choices of its key."""
        fulfilled: frozenset[Condition] = frozenset()
        point: dict[str, int] = {}
        for place, axis in enumerate(self._axes):
            if not axis.conditions <= fulfilled:
                continue
            # Values that fulfil no condition have the same number of points below them: they are skipped at once.
            plain = self._below(place + 1, fulfilled)
            start = 0
            for index, conditions in axis.fulfilled.items():
                before, below = (index - start) * plain, self._below(place + 1, fulfilled | conditions)
                if number < before:
                    break
                if number < before + below:
                    point[axis.key], number, fulfilled = index, number - before, fulfilled | conditions
                    break
                number, start = number - before - below, index + 1
            if axis.key not in point:
                point[axis.key], number = start + number // plain, number % plain
        return point

    def point(self, number: int) -> dict[str, Any]:
        """Point `number`, counted from 0."""
        places = self.places(number)
        return {axis.key: axis.choices[places[axis.key]] for axis in self._axes if axis.key in places}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        number = 0
        while number < self.size:
            yield self.point(number)
            number += 1

    def _below(self, place: int, fulfilled: frozenset[Condition]) -> int:
        """The number of points of the keys from index `place` on, if the conditions `fulfilled` hold."""
        if place == len(self._axes):
            return 1
        fulfilled = frozenset(condition for condition in fulfilled if condition[0] >= place)
        count = self._counts.get((place, fulfilled))
        if count is None:
            axis = self._axes[place]
            if not axis.conditions <= fulfilled:
                count = self._below(place + 1, fulfilled)
            else:
                count = (len(axis.choices) - len(axis.fulfilled)) * self._below(place + 1, fulfilled)
                count += sum(self._below(place + 1, fulfilled | more) for more in axis.fulfilled.values())
            self._counts[place, fulfilled] = count
        return count
