"""The Grid: all points of a space by their numbers, none of which is kept."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Condition = tuple[int, int]
"""A key that has a condition and the key that this one looks at, by their places."""


@dataclass
class Axis:
    """One key of a grid: the conditions under which it has a value, and those that its values fulfil."""

    key: str
    choices: Sequence[Any]
    conditions: frozenset[Condition]
    fulfilled: dict[int, frozenset[Condition]] = field(default_factory=dict)  # by the places of those that fulfil any


class Grid:
    """The points in the order of nested loops, the first key outermost, each once.

    Parameters
    ----------
    choices : mapping
        The values of each key; one that depends on another comes after it.
    when : mapping
        key: the keys, and the places of their values, under which it has a value.
    """

    def __init__(self, choices: Mapping[str, Sequence[Any]], when: Mapping[str, Mapping[str, Collection[int]]]) -> None:
        place = {key: number for number, key in enumerate(choices)}
        self._axes = [
            Axis(key, choices[key], frozenset((place[key], place[other]) for other in when[key])) for key in choices
        ]
        for key, others in when.items():
            for other, allowed in others.items():
                axis = self._axes[place[other]]
                for index in allowed:
                    axis.fulfilled[index] = axis.fulfilled.get(index, frozenset()) | {(place[key], place[other])}
        for axis in self._axes:
            axis.fulfilled = dict(sorted(axis.fulfilled.items()))
        self._counts: dict[tuple[int, frozenset[Condition]], int] = {}

    @property
    def size(self) -> int:
        """How many points there are."""
        return self._below(0, frozenset())

    def places(self, number: int) -> dict[str, int]:
        """The point of this number, as the place of each value among the choices of its key."""
        known: frozenset[Condition] = frozenset()
        found: dict[str, int] = {}
        for place, axis in enumerate(self._axes):
            if not axis.conditions <= known:
                continue
            plain = self._below(place + 1, known)
            at = 0
            for index, fulfilled in axis.fulfilled.items():
                before, below = (index - at) * plain, self._below(place + 1, known | fulfilled)
                if number < before:
                    break
                if number < before + below:
                    found[axis.key], number, known = index, number - before, known | fulfilled
                    break
                number, at = number - before - below, index + 1
            if axis.key not in found:
                found[axis.key], number = at + number // plain, number % plain
        return found

    def point(self, number: int) -> dict[str, Any]:
        """The point of this number, counted from 0."""
        places = self.places(number)
        return {axis.key: axis.choices[places[axis.key]] for axis in self._axes if axis.key in places}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        number = 0
        while number < self.size:
            yield self.point(number)
            number += 1

    def _below(self, place: int, known: frozenset[Condition]) -> int:
        """How many points the keys from `place` on have, where the conditions `known` are fulfilled."""
        if place == len(self._axes):
            return 1
        known = frozenset(condition for condition in known if condition[0] >= place)
        count = self._counts.get((place, known))
        if count is None:
            axis = self._axes[place]
            if not axis.conditions <= known:
                count = self._below(place + 1, known)
            else:
                count = (len(axis.choices) - len(axis.fulfilled)) * self._below(place + 1, known)
                count += sum(self._below(place + 1, known | fulfilled) for fulfilled in axis.fulfilled.values())
            self._counts[place, known] = count
        return count
