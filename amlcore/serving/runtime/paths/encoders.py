"""Encoders and imputers for columns of numbers and coded texts, by lookup tables instead of a search in each row."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import NotHandled
from .scalers import Step

MISSING, UNKNOWN = -2, -1
"""The codes of null and of a text that no transformer knows."""
SHIFT = 2
"""The distance from a code to its place in a table."""


class NotNumeric(Exception):  # noqa: N818 - not an error: there is no fast path
    """A column of texts where only numbers are supported."""


class ColumnCoding:
    """How a column of a request becomes numbers: known texts get codes; without a text transformer it is numeric."""

    def __init__(self, *, must: bool = False, may: bool = False) -> None:
        self.codes: dict[Any, int] = {None: MISSING}
        self.is_text = must
        self._may = may
        self.is_boolean = False
        self.numbers: set[float] = set()
        """Numbers that transformers treat specially."""
        self.dtype: Any = np.dtype(np.float64)
        self.null: str | None = "nan"
        """What null becomes; None if that is ambiguous."""
        self.only: set[float] | None = None
        """The accepted numbers, if a transformer refuses all others."""

    def require_text(self) -> None:
        if not (self.is_text or self._may):
            raise NotNumeric
        self.is_text = True

    def require_number(self) -> None:
        if self.is_text:
            raise NotNumeric
        self._may = False

    def code(self, text: str) -> int:
        return self.codes.setdefault(text, len(self.codes) - 1)


def require_numbers(table: list[ColumnCoding]) -> None:
    for coding in table:
        coding.require_number()


def impute(imputer: Any, table: list[ColumnCoding]) -> tuple[Step, list[ColumnCoding]]:
    """SimpleImputer, for nulls in a request."""
    marker = imputer.missing_values
    is_null = marker is None or (isinstance(marker, float) and math.isnan(marker))
    if not is_null:
        raise NotNumeric
    fills: list[tuple[float, float]] = []
    kept: list[int] = []
    for position, (coding, statistic) in enumerate(zip(table, imputer.statistics_.tolist())):
        is_filled = coding.null != "None" or marker is None  # None is not NaN, and stays
        if isinstance(statistic, str):
            coding.require_text()
            fills.append((MISSING, coding.code(statistic)) if is_filled else (math.nan, 0.0))
        elif not is_filled:
            coding.require_number()
            fills.append((math.nan, math.nan))
        else:
            coding.require_number()
            if statistic is None or math.isnan(statistic):  # a column without any value
                if not getattr(imputer, "keep_empty_features", False):
                    continue
                number = 0.0
            else:
                number = float(statistic)
            coding.numbers.add(number)
            fills.append((math.nan, number))
        kept.append(position)
    if len(kept) != len(table) and imputer.strategy == "constant":
        raise NotNumeric
    holds_text = np.array([marked == MISSING for marked, _ in fills])
    values = np.array([value for _, value in fills])
    any_text = holds_text.any()
    chosen = slice(None) if len(kept) == len(table) else np.array(kept)
    marked = imputer.indicator_.features_ if imputer.add_indicator else ()
    if any_text and len(marked):
        raise NotNumeric

    def fill(matrix: Any) -> Any:
        if len(marked):
            return np.concatenate((filled(matrix), np.isnan(matrix[:, marked])), axis=1)
        return filled(matrix)

    def filled(matrix: Any) -> Any:
        matrix = matrix[:, chosen]
        gaps = np.isnan(matrix)
        if any_text:
            gaps |= holds_text & (matrix == MISSING)
        return np.where(gaps, values, matrix).astype(matrix.dtype, copy=False) if gaps.any() else matrix

    return fill, [*(table[position] for position in kept), *(ColumnCoding() for _ in marked)]


def one_hot(encoder: Any, table: list[ColumnCoding]) -> tuple[Step, list[ColumnCoding]]:
    """OneHotEncoder; infrequent categories share a column."""
    if encoder.handle_unknown not in ("error", "ignore", "infrequent_if_exist", "warn"):
        raise NotNumeric
    dropped = getattr(encoder, "_drop_idx_after_grouping", encoder.drop_idx_)
    start, targets = 0, []
    unknown: list[float | None] = []
    for groups, rare, left_out in zip(*_groups(encoder), dropped if dropped is not None else [None] * len(table)):
        kept = [group for group in range(max(groups, default=-1) + 1) if group != left_out]
        target = {group: float(start + number) for number, group in enumerate(kept)}
        targets.append([target.get(group, -1.0) for group in groups])
        joined = rare if encoder.handle_unknown in ("infrequent_if_exist", "warn") else None
        other = -1.0 if joined is None else target.get(joined, -1.0)
        unknown.append(None if encoder.handle_unknown == "error" else other)
        start += len(kept)
    width = start
    look = _lookup(encoder.categories_, targets, table, unknown=unknown)

    def encode(matrix: Any) -> Any:
        # one more column than needed, the last, for categories without one
        out = np.zeros((len(matrix), width + 1))
        out[np.arange(len(matrix))[:, None], look(matrix).astype(np.intp)] = 1.0
        return out[:, :width]

    return encode, [ColumnCoding() for _ in range(width)]


def ordinal(encoder: Any, table: list[ColumnCoding]) -> tuple[Step, list[ColumnCoding]]:
    """OrdinalEncoder; infrequent categories share a number."""
    targets = []
    for categories, groups in zip(encoder.categories_, _groups(encoder)[0]):
        places = [float(group) for group in groups]
        places += [math.nan] * (len(categories) - len(places))
        if len(categories) and _is_missing(categories[-1]):
            places[-1] = float(getattr(encoder, "encoded_missing_value", math.nan))
        targets.append(places)
    unknown = None if encoder.handle_unknown == "error" else float(encoder.unknown_value)
    look = _lookup(encoder.categories_, targets, table, unknown=[unknown] * len(table))
    return look, [ColumnCoding() for _ in table]


def target_mean(encoder: Any, table: list[ColumnCoding]) -> tuple[Step, list[ColumnCoding]]:
    """TargetEncoder with one target."""
    if encoder.target_type_ == "multiclass":
        raise NotNumeric
    targets = [means.tolist() for means in encoder.encodings_]
    unknown: list[float | None] = [float(encoder.target_mean_)] * len(table)
    return _lookup(encoder.categories_, targets, table, unknown=unknown), [ColumnCoding() for _ in table]


def _groups(encoder: Any) -> tuple[list[list[int]], list[int | None]]:
    """For each column, the group of each category, and the group of infrequent ones, if any."""
    groups: list[list[int]] = [list(range(len(categories))) for categories in encoder.categories_]
    rare: list[int | None] = [None] * len(groups)
    if getattr(encoder, "_infrequent_enabled", False):
        for position, mapping in enumerate(encoder._default_to_infrequent_mappings):
            if mapping is not None:
                groups[position] = mapping.tolist()
                rare[position] = groups[position][int(encoder._infrequent_indices[position][0])]
    return groups, rare


def _is_missing(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _are_truth_values(column_categories: Any) -> bool:
    values = column_categories.tolist()
    return any(isinstance(value, bool) for value in values) and all(
        isinstance(value, bool) or value is None or _is_missing(value) for value in values
    )


def _named(categories: list[Any], null: str | None) -> list[Any]:
    """The categories, with NaN for the missing value that null becomes, and None for the other one."""
    marks = [value is None if null == "None" else _is_missing(value) for value in categories]
    return [
        value if isinstance(value, str) else math.nan if is_null else None for value, is_null in zip(categories, marks)
    ]


def _lookup(
    categories: list[Any], targets: list[list[float]], table: list[ColumnCoding], *, unknown: list[float | None]
) -> Step:
    """A step that replaces each value by the target of its category."""
    by_text, by_number = [], []
    for position, (column_categories, target, coding, other) in enumerate(zip(categories, targets, table, unknown)):
        if column_categories.dtype.kind in "iufb":
            coding.require_number()
            coding.is_boolean |= column_categories.dtype.kind == "b"
            numbers = {float(value) for value in column_categories.tolist() if not _is_missing(value)}
            coding.numbers |= numbers
            if other is None:
                coding.only = numbers if coding.only is None else coding.only & numbers
            by_number.append((position, _numbers(column_categories.astype("float64"), target, other)))
        elif _are_truth_values(column_categories):
            coding.require_number()
            coding.is_boolean = True
            gap = [value for value in column_categories.tolist() if not isinstance(value, bool)]
            if any((value is None) != (coding.null == "None") for value in gap):
                raise NotNumeric
            places = np.array(
                [float(value) if isinstance(value, bool) else math.nan for value in column_categories.tolist()]
            )
            by_number.append((position, _numbers(places, target, other)))
        elif all(isinstance(value, str) or _is_missing(value) or value is None for value in column_categories.tolist()):
            coding.require_text()
            for value in column_categories.tolist():
                if isinstance(value, str):
                    coding.code(value)
            by_text.append((position, _named(column_categories.tolist(), coding.null), target, coding, other))
        else:
            raise NotNumeric
    if by_text and not by_number:
        return _texts_only(by_text)
    # the size of a table is known only after all transformers have registered their texts
    return _mixed([(position, _texts_only([(0, *rest)])) for position, *rest in by_text] + by_number)


def _texts_only(entries: list[Any]) -> Step:
    cache: list[Any] = []

    def build() -> tuple[Any, Any, bool]:
        places: list[int] = []
        table: list[float | None] = []
        for _, column_categories, target, coding, other in entries:
            places.append(len(table))
            column = [other] * (len(coding.codes) - 1 + SHIFT)
            for value, place in zip(column_categories, target):
                if isinstance(value, str):
                    column[coding.codes[value] + SHIFT] = place
                elif _is_missing(value):
                    column[MISSING + SHIFT] = place
            table += column
        refuses = None in table
        values = np.array([math.inf if value is None else value for value in table])
        return np.array(places) + SHIFT, values, refuses

    def look(matrix: Any) -> Any:
        if not cache:
            cache.append(build())
        places, values, refuses = cache[0]
        values_at = values[matrix.astype(np.intp) + places]
        if refuses and np.isinf(values_at).any():
            raise NotHandled
        return values_at

    return look


def _numbers(column_categories: Any, target: list[float], other: float | None) -> Step:
    values = np.append(np.array(target, dtype="float64"), math.inf if other is None else other)
    has_missing = bool(len(column_categories) and np.isnan(column_categories[-1]))
    finite = column_categories[:-1] if has_missing else column_categories

    def look(column: Any) -> Any:
        place = np.searchsorted(finite, column)
        hit = np.append(finite, math.nan)[place] == column
        place = np.where(hit, place, len(values) - 1)
        if has_missing:
            place = np.where(np.isnan(column), len(finite), place)
        values_at = values[place]
        if other is None and np.isinf(values_at).any():
            raise NotHandled
        return values_at

    return look


def _mixed(steps: list[tuple[int, Step]]) -> Step:
    def look(matrix: Any) -> Any:
        out = np.empty(matrix.shape)
        for position, step in steps:
            out[:, position : position + 1] = step(matrix[:, position : position + 1])
        return out

    return look


ENCODERS: dict[str, Callable[[Any, list[ColumnCoding]], tuple[Step, list[ColumnCoding]]]] = {
    "SimpleImputer": impute,
    "OneHotEncoder": one_hot,
    "OrdinalEncoder": ordinal,
    "TargetEncoder": target_mean,
}
