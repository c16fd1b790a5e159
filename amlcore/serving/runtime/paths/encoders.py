"""Encoders and imputers on columns of numbers and of coded texts, by tables instead of a search in each row."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import NotHandled

Step = Callable[[Any], Any]

MISSING, UNKNOWN = -2, -1
"""The codes of a text that is null, and of one that no transformer knows."""
SHIFT = 2
"""From a code to its place in a table."""


class NotNumeric(Exception):  # noqa: N818 - no error: there is no path then
    """A column of texts where only numbers are known."""


class Texts:
    """The texts that transformers know of one column of a request; it holds numbers as long as none asks for texts."""

    def __init__(self, *, must: bool = False, may: bool = False) -> None:
        self.codes: dict[Any, int] = {None: MISSING}
        self.is_text = must
        self._may = may
        self.is_boolean = False
        self.numbers: set[float] = set()
        """Numbers that transformers treat apart."""
        self.dtype: Any = np.dtype(np.float64)
        self.null: str | None = "nan"
        """What null stands for; None where that is open."""
        self.only: set[float] | None = None
        """The numbers that are taken, where a transformer refuses all others."""

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


def require_numbers(table: list[Texts]) -> None:
    for texts in table:
        texts.require_number()


def impute(imputer: Any, table: list[Texts]) -> tuple[Step, list[Texts]]:
    """SimpleImputer, of what is null in a request."""
    marker = imputer.missing_values
    is_null = marker is None or (isinstance(marker, float) and math.isnan(marker))
    if not is_null:
        raise NotNumeric
    fills: list[tuple[float, float]] = []
    kept: list[int] = []
    for position, (texts, statistic) in enumerate(zip(table, imputer.statistics_.tolist())):
        is_filled = texts.null != "None" or marker is None  # None is no NaN, and stays
        if isinstance(statistic, str):
            texts.require_text()
            fills.append((MISSING, texts.code(statistic)) if is_filled else (math.nan, 0.0))
        elif not is_filled:
            texts.require_number()
            fills.append((math.nan, math.nan))
        else:
            texts.require_number()
            if statistic is None or math.isnan(statistic):  # a column without any value
                if not getattr(imputer, "keep_empty_features", False):
                    continue
                number = 0.0
            else:
                number = float(statistic)
            texts.numbers.add(number)
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

    return fill, [*(table[position] for position in kept), *(Texts() for _ in marked)]


def one_hot(encoder: Any, table: list[Texts]) -> tuple[Step, list[Texts]]:
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
        # one column more than there are, the last one, for what has none
        out = np.zeros((len(matrix), width + 1))
        out[np.arange(len(matrix))[:, None], look(matrix).astype(np.intp)] = 1.0
        return out[:, :width]

    return encode, [Texts() for _ in range(width)]


def ordinal(encoder: Any, table: list[Texts]) -> tuple[Step, list[Texts]]:
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
    return look, [Texts() for _ in table]


def target_mean(encoder: Any, table: list[Texts]) -> tuple[Step, list[Texts]]:
    """TargetEncoder of one target."""
    if encoder.target_type_ == "multiclass":
        raise NotNumeric
    targets = [means.tolist() for means in encoder.encodings_]
    unknown: list[float | None] = [float(encoder.target_mean_)] * len(table)
    return _lookup(encoder.categories_, targets, table, unknown=unknown), [Texts() for _ in table]


def _groups(encoder: Any) -> tuple[list[list[int]], list[int | None]]:
    """Of each column, the group of each category, and the one of the infrequent, if there are any."""
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


def _are_truth_values(known: Any) -> bool:
    values = known.tolist()
    return any(isinstance(value, bool) for value in values) and all(
        isinstance(value, bool) or value is None or _is_missing(value) for value in values
    )


def _named(categories: list[Any], null: str | None) -> list[Any]:
    """The categories with NaN in place of the one that null stands for, and None for the other that it does not."""
    marks = [value is None if null == "None" else _is_missing(value) for value in categories]
    return [
        value if isinstance(value, str) else math.nan if is_null else None for value, is_null in zip(categories, marks)
    ]


def _lookup(
    categories: list[Any], targets: list[list[float]], table: list[Texts], *, unknown: list[float | None]
) -> Step:
    """A step that puts the target of its category in place of each value."""
    by_text, by_number = [], []
    for position, (known, target, texts, other) in enumerate(zip(categories, targets, table, unknown)):
        if known.dtype.kind in "iufb":
            texts.require_number()
            texts.is_boolean |= known.dtype.kind == "b"
            numbers = {float(value) for value in known.tolist() if not _is_missing(value)}
            texts.numbers |= numbers
            if other is None:
                texts.only = numbers if texts.only is None else texts.only & numbers
            by_number.append((position, _numbers(known.astype("float64"), target, other)))
        elif _are_truth_values(known):
            texts.require_number()
            texts.is_boolean = True
            gap = [value for value in known.tolist() if not isinstance(value, bool)]
            if any((value is None) != (texts.null == "None") for value in gap):
                raise NotNumeric
            places = np.array([float(value) if isinstance(value, bool) else math.nan for value in known.tolist()])
            by_number.append((position, _numbers(places, target, other)))
        elif all(isinstance(value, str) or _is_missing(value) or value is None for value in known.tolist()):
            texts.require_text()
            for value in known.tolist():
                if isinstance(value, str):
                    texts.code(value)
            by_text.append((position, _named(known.tolist(), texts.null), target, texts, other))
        else:
            raise NotNumeric
    if by_text and not by_number:
        return _texts_only(by_text)
    # a table's size is known only when all transformers have named their texts
    return _mixed([(position, _texts_only([(0, *rest)])) for position, *rest in by_text] + by_number)


def _texts_only(entries: list[Any]) -> Step:
    cache: list[Any] = []

    def build() -> tuple[Any, Any, bool]:
        places: list[int] = []
        table: list[float | None] = []
        for _, known, target, texts, other in entries:
            places.append(len(table))
            column = [other] * (len(texts.codes) - 1 + SHIFT)
            for value, place in zip(known, target):
                if isinstance(value, str):
                    column[texts.codes[value] + SHIFT] = place
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
        found = values[matrix.astype(np.intp) + places]
        if refuses and np.isinf(found).any():
            raise NotHandled
        return found

    return look


def _numbers(known: Any, target: list[float], other: float | None) -> Step:
    values = np.append(np.array(target, dtype="float64"), math.inf if other is None else other)
    has_missing = bool(len(known) and np.isnan(known[-1]))
    finite = known[:-1] if has_missing else known

    def look(column: Any) -> Any:
        place = np.searchsorted(finite, column)
        hit = np.append(finite, math.nan)[place] == column
        place = np.where(hit, place, len(values) - 1)
        if has_missing:
            place = np.where(np.isnan(column), len(finite), place)
        found = values[place]
        if other is None and np.isinf(found).any():
            raise NotHandled
        return found

    return look


def _mixed(steps: list[tuple[int, Step]]) -> Step:
    def look(matrix: Any) -> Any:
        out = np.empty(matrix.shape)
        for position, step in steps:
            out[:, position : position + 1] = step(matrix[:, position : position + 1])
        return out

    return look


ENCODERS: dict[str, Callable[[Any, list[Texts]], tuple[Step, list[Texts]]]] = {
    "SimpleImputer": impute,
    "OneHotEncoder": one_hot,
    "OrdinalEncoder": ordinal,
    "TargetEncoder": target_mean,
}
