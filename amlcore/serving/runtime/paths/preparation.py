"""Preparation: the common transformers as arithmetic on one float64 matrix, without a DataFrame.

Texts are numbers already when rows are read: each known text of a column has a code.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import numpy as np

from ..inputs.columns import Column
from ..inputs.signature import Signature
from . import encoders, scalers
from .encoders import ColumnCoding
from .ensembles import HISTOGRAMS
from .scalers import Step


class Unsupported(Exception):  # noqa: N818 - not an error: there is no fast path
    """A transformer, or a use of one, without a fast path."""


class Preparation:
    """What a model does before its last step."""

    def __init__(self, codings: list[ColumnCoding], steps: list[Step], final: Any) -> None:
        self.codings = codings
        """One for each column of a request."""
        self.final = final
        self.steps = steps

    def __call__(self, matrix: Any) -> Any:
        """The input of the last step, (n_rows, n_features), from encoded rows, (n_rows, n_columns) float64."""
        for step in self.steps:
            matrix = step(matrix)
        return matrix


def prepare(estimator: Any, signature: Signature) -> Preparation | None:
    """Compile everything before the final estimator; None if a transformer is unsupported."""
    if signature.n_features is None:
        return None
    columns = signature.columns(signature.n_features)
    if not all(_is_plain(column) for column in columns):
        return None
    codings = [_column_coding(column) for column in columns]
    try:
        compiler = _Compiler()
        table, steps = list(codings), _rounding(columns)
        *before, final = _steps_of(estimator)
        for transformer in before:
            step, table = compiler.compile(transformer, table)
            if step is not None:
                steps.append(step)
        inner = getattr(final, "_preprocessor", None)
        if inner is not None and type(final).__name__ in HISTOGRAMS:
            # its trees were trained on the codes of its categories, followed by the other columns
            step, table = compiler.compile(inner, table)
            steps += [] if step is None else [step]
            final = copy.copy(nameless(final))
            final._preprocessor = None
        encoders.require_numbers(table)
    except (Unsupported, encoders.NotNumeric):
        return None
    for column, coding in zip(columns, codings):
        # an encoder of truth values reveals the type of a column that has none
        coding.is_boolean = column.kind == "boolean" or (column.kind == "any" and coding.is_boolean)
    return Preparation(codings, steps, final)


def _is_plain(column: Column) -> bool:
    """Whether the model sees what a request holds: a number, a truth value or a text."""
    if column.is_category:
        return column.kind == "text"
    return column.kind in ("number", "boolean", "text", "number or text", "any")


def _column_coding(column: Column) -> ColumnCoding:
    coding = ColumnCoding(must=column.kind == "text", may=column.kind in ("any", "number or text"))
    coding.is_boolean = column.kind == "boolean"
    coding.dtype = np.dtype(np.float32 if column.dtype == "float32" else np.float64)
    null = column.nulls([None])
    coding.null = null[0] if len(null) == 1 else None
    return coding


def _rounding(columns: list[Column]) -> list[Step]:
    """The step that rounds the columns of float32 as in training: JSON's numbers have more digits."""
    single = [column.position for column in columns if (column.dtype or "").lower() == "float32"]
    if not single:
        return []
    if len(single) == len(columns):
        return [lambda matrix: matrix.astype(np.float32)]

    def round_some(matrix: Any) -> Any:
        matrix = matrix.copy()
        matrix[:, single] = matrix[:, single].astype(np.float32)
        return matrix

    return [round_some]


def _steps_of(estimator: Any) -> list[Any]:
    from sklearn.model_selection._search import BaseSearchCV
    from sklearn.pipeline import Pipeline

    if isinstance(estimator, BaseSearchCV):
        return _steps_of(estimator.best_estimator_)
    if type(estimator) is not Pipeline:
        return [estimator]
    steps = [step for _, step in estimator.steps if step is not None and step != "passthrough"]
    return [*steps[:-1], *_steps_of(steps[-1])] if steps else [estimator]


class _Compiler:
    """Turns fitted transformers into steps."""

    def compile(self, transformer: Any, table: list[ColumnCoding]) -> tuple[Step | None, list[ColumnCoding]]:
        """The step, None if it changes nothing, and the columns that it returns."""
        name = type(transformer).__name__
        if transformer is None or transformer == "passthrough":
            return None, table
        if not type(transformer).__module__.startswith("sklearn."):
            raise Unsupported(name)
        if name == "FunctionTransformer" and (transformer.func is None or _only_checks(transformer.func)):
            return None, table
        if name == "Pipeline":
            return self._chain([step for _, step in transformer.steps], table)
        if name == "ColumnTransformer":
            return self._split(transformer, table)
        if name in encoders.ENCODERS:
            return encoders.ENCODERS[name](transformer, table)
        encoders.require_numbers(table)
        single = bool(table) and all(coding.dtype == np.float32 for coding in table)
        scaler = (
            None if single else scalers.SCALERS.get(name)
        )  # in float32 only scikit-learn's own order rounds the same
        step = (scaler or self._as_it_is)(transformer)
        return step, _numbers(step, table)

    def _chain(self, transformers: list[Any], table: list[ColumnCoding]) -> tuple[Step | None, list[ColumnCoding]]:
        steps = []
        for transformer in transformers:
            step, table = self.compile(transformer, table)
            if step is not None:
                steps.append(step)
        if not steps:
            return None, table

        def chain(matrix: Any) -> Any:
            for step in steps:
                matrix = step(matrix)
            return matrix

        return chain, table

    def _split(self, transformer: Any, table: list[ColumnCoding]) -> tuple[Step, list[ColumnCoding]]:
        parts, out = [], []
        weights = transformer.transformer_weights or {}
        for name, inner, chosen in transformer.transformers_:
            if isinstance(inner, str) and inner == "drop":
                continue
            positions = self._positions(chosen, transformer, len(table))
            if not positions:
                continue
            step, produced = self.compile(inner, [table[position] for position in positions])
            is_single = all(table[position].dtype == np.float32 for position in positions)
            parts.append((_selection(positions), _single(_weighed(step, weights.get(name)), is_single)))
            out += produced
        if not parts:
            raise Unsupported("ColumnTransformer without columns")

        def split(matrix: Any) -> Any:
            blocks = [matrix[:, chosen] if step is None else step(matrix[:, chosen]) for chosen, step in parts]
            return blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1)

        return split, out

    def _positions(self, chosen: Any, transformer: Any, width: int) -> list[int]:
        if isinstance(chosen, (str, int)):
            raise Unsupported("a single column")
        names = list(getattr(transformer, "feature_names_in_", ()))
        if len(names) != width:
            names = []
        try:
            if isinstance(chosen, slice):
                first, last = (names.index(end) if isinstance(end, str) else end for end in (chosen.start, chosen.stop))
                # as in pandas, a slice by names includes its end
                return list(range(width))[first : last + 1 if isinstance(chosen.stop, str) else last]
            chosen = list(chosen)
            if chosen and all(isinstance(one, (bool, np.bool_)) for one in chosen):
                return [position for position, is_chosen in enumerate(chosen) if is_chosen]
            return [names.index(one) if isinstance(one, str) else int(one) % width for one in chosen]
        except ValueError:
            raise Unsupported("a column by its name") from None

    def _as_it_is(self, transformer: Any) -> Step:
        from sklearn import config_context

        transformer = nameless(transformer)

        def as_it_is(matrix: Any) -> Any:
            with config_context(assume_finite=True):
                result = transformer.transform(matrix)
            result = result.toarray() if hasattr(result, "toarray") else np.asarray(result)
            return result if result.dtype == np.float32 else result.astype(np.float64, copy=False)

        return as_it_is


def _only_checks(function: Any) -> bool:
    """Whether it returns the numbers that it gets, as HistGradientBoosting's does for numeric columns."""
    from sklearn.utils import check_array

    kept = {"dtype": [np.float64], "ensure_all_finite": False}
    return isinstance(function, partial) and function.func is check_array and function.keywords == kept


def _weighed(step: Step | None, weight: float | None) -> Step | None:
    if weight is None:
        return step
    return lambda matrix: (matrix if step is None else step(matrix)) * weight


def _single(step: Step | None, is_single: bool) -> Step | None:
    """`step` on columns of float32, which a request has as float64."""
    if not is_single:
        return step
    return lambda matrix: matrix.astype(np.float32) if step is None else step(matrix.astype(np.float32))


def _selection(positions: list[int]) -> Any:
    """A slice if the columns are adjacent: numpy then copies nothing."""
    if positions == list(range(positions[0], positions[-1] + 1)):
        return slice(positions[0], positions[-1] + 1)
    return np.array(positions)


def _numbers(step: Step, table: list[ColumnCoding]) -> list[ColumnCoding]:
    """Columns of numbers, as many as `step` makes of those in `table`."""
    single = bool(table) and all(coding.dtype == np.float32 for coding in table)
    try:
        with np.errstate(all="ignore"):
            produced = step(np.ones((1, len(table)), dtype=np.float32 if single else np.float64))
    except Exception:  # the user's or a library's own transformer, which may raise anything: the model answers then
        raise Unsupported("a transformer that does not take ones") from None
    columns = [ColumnCoding() for _ in range(produced.shape[1])]
    for coding in columns:
        coding.dtype = produced.dtype
    return columns


def nameless(estimator: Any) -> Any:
    """`estimator` without its column names: it would warn about a matrix without them."""
    if "feature_names_in_" not in vars(estimator):
        return estimator
    twin = copy.copy(estimator)
    del twin.feature_names_in_
    return twin
