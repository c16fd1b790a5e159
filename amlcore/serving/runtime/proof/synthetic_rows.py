"""Synthetic rows: random rows, the same each time, on which a path is compared with the model besides the sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..inputs.signature import Signature
from ..paths import Preparation

UNSEEN = "never seen before"
STYLES = ("wild", "positive", "near the sample")
"""The last two are for models that refuse the first, such as those that refuse negative numbers."""


class SyntheticRows:
    """Draws rows of a model's columns: random values, known categories, and the neighbours of special numbers."""

    def __init__(
        self, signature: Signature, preparation: Preparation, sample: list[list[Any]], *, style: str, seed: int = 0
    ) -> None:
        self._columns = signature.columns(len(preparation.codings))
        self._codings = preparation.codings
        self._sample = [row for row in sample if len(row) == len(self._columns) and None not in row]
        self.style = style
        plain = [
            column
            for column, coding in zip(self._columns, preparation.codings)
            if not (coding.is_text or coding.is_boolean or coding.only)
        ]
        self._whole = {column.position for column in plain if column.is_whole}
        self._open = {column.position for column in plain if column.dtype is None}
        self.width = len(self._columns)
        self._lacking = [column.position for column in self._columns if column.irregular([None])]
        self._random = np.random.default_rng(seed)

    @property
    def text_columns(self) -> list[int]:
        return [position for position, coding in enumerate(self._codings) if coding.is_text]

    def rows(self, count: int, *, missing: list[bool], unseen: list[bool]) -> list[list[Any]]:
        """`missing`, `unseen`: for each column, whether its values include a null, or an unknown text."""
        columns = [
            self._column(position, count, missing=missing[position], unseen=unseen[position])
            for position in range(self.width)
        ]
        return [list(row) for row in zip(*columns)]

    def loose(self, rows: list[list[Any]]) -> list[list[Any]]:
        """`rows` with fractions in the columns of integers that accept other numbers than the known ones."""
        return [
            [
                value + 0.5 if position in self._whole and value is not None else value
                for position, value in enumerate(row)
            ]
            for row in rows
        ]

    def whole(self, rows: list[list[Any]]) -> list[list[Any]]:
        """`rows` with integers in each column of numbers of an unknown type."""
        return [
            [
                int(value) if position in self._open and isinstance(value, float) else value
                for position, value in enumerate(row)
            ]
            for row in rows
        ]

    def _column(self, position: int, count: int, *, missing: bool, unseen: bool) -> list[Any]:
        sampled = [row[position] for row in self._sample]
        if self._codings[position].is_boolean:
            return self._random.integers(0, 2, count).astype(bool).tolist()  # type: ignore[no-any-return]
        if self._codings[position].is_text:
            values = [*(text for text in self._codings[position].codes if text is not None), *sampled]
            values = [*values, UNSEEN] if unseen or not values else values
        else:
            values = self._numbers(position, sampled, count)
        chosen = [values[index] for index in self._random.integers(0, len(values), count)]
        if missing and position in self._lacking:
            # one column in each row: the model answers the rows of each set of such columns separately
            turn = self._lacking.index(position)
            return [
                None if number % (10 * len(self._lacking)) == 10 * turn else value
                for number, value in enumerate(chosen)
            ]
        if missing:
            chosen = [None if gap else value for gap, value in zip(self._random.random(count) < 0.1, chosen)]
        return chosen

    def _numbers(self, position: int, sampled: list[Any], count: int) -> list[Any]:
        only = self._codings[position].only
        if only:
            return [int(value) for value in only] if self._columns[position].is_whole else list(only)
        apart = [near for number in self._codings[position].numbers for near in around(number)]
        sample_numbers = [float(value) for value in sampled if isinstance(value, (int, float))]
        if self.style == "near the sample" and sample_numbers:
            is_whole = self._columns[position].is_whole
            return [int(value) if is_whole else value for value in sample_numbers] + ([] if is_whole else apart)
        spread = 2.0 * max(float(np.std(sample_numbers)), abs(sample_numbers[0]) / 10, 1e-3) if sample_numbers else 1.0
        normal = self._random.normal(np.mean(sample_numbers) if sample_numbers else 0.0, spread, count // 2 + 1)
        wide = self._random.normal(size=count // 4 + 1) * 10.0 ** self._random.uniform(-2, 4, count // 4 + 1)
        drawn = np.concatenate((normal, wide))
        drawn = np.abs(drawn) if self.style == "positive" else drawn
        if self._columns[position].is_whole:
            low, high = self._columns[position].bounds
            whole = [int(min(max(value, low, -1e15), high, 1e15)) for value in drawn]
            return [
                *whole,
                *[int(value) for value in sample_numbers + apart if value == int(value) and low <= value <= high],
            ]
        whole = [int(value) for value in drawn[: count // 8 + 1] if abs(value) < 1e15]
        return [
            *drawn.tolist(),
            *whole,
            *(sample_numbers + apart) * max(1, count // (8 * max(1, len(sample_numbers + apart)))),
        ]


def around(number: float) -> list[float]:
    """A number and its neighbours in float64, then its float32 image and the neighbours of that."""
    image = np.float32(number)
    near = (np.nextafter(number, -np.inf), number, np.nextafter(number, np.inf))
    images = (np.nextafter(image, np.float32(-np.inf)), image, np.nextafter(image, np.float32(np.inf)))
    return [float(value) for value in (*near, *images) if np.isfinite(value)]


def at_thresholds(matrix: Any, thresholds: dict[int, Any], *, most: int, seed: int = 0) -> Any:
    """Rows like those of `matrix`, (n_rows, n_features) float64, with values at and next to the thresholds of trees."""
    points = {
        column: np.array([near for one in values for near in around(one)]) for column, values in thresholds.items()
    }
    count = min(most, max(map(len, points.values()), default=0))
    random = np.random.default_rng(seed)
    rows = matrix[random.integers(0, len(matrix), count)]
    for column, values in points.items():
        placed = np.resize(random.permutation(values), count)
        rows[:, column] = placed
    return rows
