"""Proof: each path is compared with the model and measured, and what is not equal is dropped."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .made import STYLES, UNSEEN, MadeRows, at_thresholds
from .paths import UNCHECKED, Path, Refused, candidates
from .reader import Reader
from .rows import InputError, Signature

TOLERANCE = 1e-9
LAST_BITS = 4 * np.finfo(float).eps
"""Of the largest number of an answer: the smaller of two probabilities is known no better than to these."""

MADE = 3000
AT_THRESHOLDS = 20_000
SINGLY, SINGLY_S = 500, 1.5
"""Rows that are compared one by one: so many, or as many as that time allows."""
CHECKED = 16
"""Rows that are compared again at each start."""
SIZES = (1, 10, 100, 1000)
SLOW = 100
PROBED_COLUMNS = 100
MODEL = "model"
NOTHING: dict[str, Any] = {"candidates": {}, "chosen": {}, "missing": [], "style": None}
"""The report where the model answers by itself."""

REFUSALS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)
"""What a model raises on rows that it was not made for."""


class Different(Exception):  # noqa: N818 - an outcome, not an error
    """A path that does not answer as the model does; the message says where."""


class Model:
    """The model's own answers, as the service gets them without any path."""

    def __init__(self, estimator: Any, signature: Signature) -> None:
        self._estimator = estimator
        self._signature = signature
        self.methods = [method for method in ("predict", "predict_proba") if hasattr(estimator, method)]

    def score(self, method: str, rows: list[list[Any]]) -> Any:
        return getattr(self._estimator, method)(self._signature.to_input(rows))

    def answer(self, method: str, data: Any) -> Any:
        """As a request is answered: its cells are checked first."""
        return self.score(method, self._signature.read(data))

    def takes(self, rows: list[list[Any]]) -> bool:
        try:
            self.score("predict", rows)
        except (*REFUSALS, InputError):
            return False
        return True


def prove(estimator: Any, signature: Signature, sample: list[list[Any]]) -> dict[str, Any]:
    """Which path answers how many rows, with the candidates, their equality and their speed."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return _prove(estimator, signature, sample)
        except Exception as error:  # the model itself still answers
            return {**NOTHING, "because": f"the comparison failed: {type(error).__name__}: {error}"[:300]}


def _prove(estimator: Any, signature: Signature, sample: list[list[Any]]) -> dict[str, Any]:
    model = Model(estimator, signature)
    if not model.methods:
        return {**NOTHING, "because": "the model has no predict"}
    paths = candidates(estimator, signature)
    if not paths:
        return {**NOTHING, "because": "a part of the model, or the form of its rows, is not known"}
    preparation = next(iter(paths.values())).preparation
    width = len(preparation.texts)
    nowhere = [False] * width
    for style in STYLES:
        made = MadeRows(signature, preparation, sample, style=style)
        one = made.rows(20, missing=nowhere, unseen=nowhere)
        if model.takes(one):
            break
    else:
        return {**NOTHING, "because": "the model refuses the rows that were made for it"}
    missing, unseen = _taken(model, one[0], made.text_columns)
    if not model.takes(made.rows(200, missing=missing, unseen=unseen)):
        missing = unseen = nowhere
    rows = made.rows(MADE, missing=missing, unseen=unseen)
    rows += [row for row in sample if len(row) == width and model.takes([row])]
    expected = {method: model.score(method, rows) for method in model.methods}
    reader = Reader(signature, preparation, missing)
    found: dict[str, dict[str, Any]] = {}
    for name, path in paths.items():
        try:
            compared = _compare(path, reader, rows, expected)
            compared += _compare_refusals(path, reader, one[0], made.text_columns, unseen)
            found[name] = {"equal": True, "rows": compared}
        except Exception as difference:  # whatever a path raises, it does not answer as the model does
            found[name] = {"equal": False, "because": f"{type(difference).__name__}: {difference}"[:300]}
    speeds = _measure(model, {name: paths[name] for name in paths if found[name]["equal"]}, reader, rows)
    for name, speed in speeds.items():
        found.setdefault(name, {"equal": True})["microseconds"] = speed
    chosen = {
        method: _ladder({name: speed[method] for name, speed in speeds.items() if method in speed})
        for method in model.methods
    }
    return {
        "candidates": found,
        "chosen": chosen,
        "missing": missing,
        "style": style,
        "tolerance": TOLERANCE,
        "because": None,
    }


def _taken(model: Model, row: list[Any], texts: list[int]) -> tuple[list[bool], list[bool]]:
    """Of each column, whether the model takes a null there, and a text that it does not know."""
    if len(row) > PROBED_COLUMNS:
        return [False] * len(row), [False] * len(row)

    def with_one(position: int, value: Any) -> bool:
        return model.takes([[*row[:position], value, *row[position + 1 :]]])

    missing = [with_one(position, None) for position in range(len(row))]
    return missing, [position in texts and with_one(position, UNSEEN) for position in range(len(row))]


def _compare(path: Path, reader: Reader, rows: list[list[Any]], expected: dict[str, Any]) -> int:
    """How many rows were compared, if all were equal."""
    matrix = reader.matrix(rows)
    for method, wanted in expected.items():
        if method in path.methods:
            _require_equal(path.score(method, matrix), wanted, f"{method} of {len(rows)} rows")
            until = time.monotonic() + SINGLY_S
            for number in range(min(SINGLY, len(rows))):
                if time.monotonic() > until:
                    break
                single = path.score(method, reader.matrix([rows[number]]))
                _require_equal(single, wanted[number : number + 1], f"{method} of row {number} alone")
    thresholds = path.scorer.thresholds()
    if not thresholds:
        return len(rows)
    prepared = at_thresholds(path.preparation(matrix), thresholds, most=AT_THRESHOLDS)
    final = path.preparation.final
    for method in path.methods & set(expected):
        _require_equal(path.scorer.score(method, prepared), getattr(final, method)(prepared), f"{method} at thresholds")
    return len(rows) + len(prepared)


def _compare_refusals(path: Path, reader: Reader, row: list[Any], texts: list[int], unseen: list[bool]) -> int:
    """A text that the model refuses must be left to it."""
    refused = [position for position in texts if not unseen[position]]
    for position in refused:
        try:
            path.score("predict", reader.matrix([[*row[:position], UNSEEN, *row[position + 1 :]]]))
        except Refused:
            continue
        raise Different(f"it takes an unknown text in column {position}, which the model refuses")
    return len(refused)


def _require_equal(actual: Any, expected: Any, what: str) -> None:
    actual, expected = np.asarray(actual), np.asarray(expected)
    if actual.shape != expected.shape:
        raise Different(f"{what}: its shape is {actual.shape}, not {expected.shape}")
    if expected.dtype.kind != "f":
        if actual.dtype.kind != expected.dtype.kind or not (actual == expected).all():
            raise Different(f"{what}: another label")
        return
    scale = np.nanmax(np.abs(expected), initial=0.0)
    if not np.allclose(actual, expected, rtol=TOLERANCE, atol=LAST_BITS * scale, equal_nan=True):
        raise Different(f"{what}: off by {np.nanmax(np.abs(actual - expected)):.2g}")


def _measure(
    model: Model, paths: dict[str, Path], reader: Reader, rows: list[list[Any]]
) -> dict[str, dict[str, dict[str, float]]]:
    """Microseconds by candidate, method and number of rows, from parsed rows to the answer; each in turn."""
    calls: dict[str, Callable[[str, list[list[Any]]], Any]] = {MODEL: model.answer}
    for name, path in paths.items():
        calls[name] = partial(_score, path, reader)
    speeds: dict[str, dict[str, dict[str, float]]] = {name: {} for name in calls}
    for method in model.methods:
        able = [name for name in calls if name == MODEL or method in paths[name].methods]
        for size in SIZES:
            given = [rows[number % len(rows)] for number in range(size)]
            best = dict.fromkeys(able, float("inf"))
            for repeat in range(4 if size > SLOW else 7):
                for name in able:
                    begun = time.perf_counter()
                    calls[name](method, given)
                    if repeat:  # the first one warms up
                        best[name] = min(best[name], time.perf_counter() - begun)
            for name, seconds in best.items():
                speeds[name].setdefault(method, {})[str(size)] = round(seconds * 1e6, 1)
    return speeds


def _score(path: Path, reader: Reader, method: str, rows: list[list[Any]]) -> Any:
    return path.score(method, reader.matrix(rows, is_numeric=True))


def _ladder(speeds: dict[str, dict[str, float]]) -> list[list[Any]]:
    """Pairs of a number of rows and the path up to it; between two sizes that differ the change lies in the middle."""
    # the last step without checks costs less than with them, whatever a noisy machine measures
    able = speeds.keys() - {MODEL} if UNCHECKED in speeds else speeds.keys()
    fastest = [min(able, key=lambda name: speeds[name][str(size)]) for size in SIZES]
    rungs: list[list[Any]] = []
    for index, name in enumerate(fastest):
        if index + 1 == len(fastest):
            rungs.append([None, name])
        elif fastest[index + 1] != name:
            rungs.append([int((SIZES[index] * SIZES[index + 1]) ** 0.5), name])
    return rungs


def check(
    estimator: Any,
    paths: dict[str, Path],
    reader: Reader,
    *,
    signature: Signature,
    sample: list[list[Any]],
    proven: dict[str, Any],
) -> None:
    """Compare `paths` once more, on a few rows.

    Raises
    ------
    Different
        One of them answers otherwise than the model.
    """
    model, missing = Model(estimator, signature), proven["missing"]
    nowhere = [False] * len(missing)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for path in paths.values():
            made = MadeRows(signature, path.preparation, sample, style=proven["style"], seed=1)
            rows = made.rows(CHECKED, missing=missing, unseen=nowhere)
            matrix = reader.matrix(rows)
            for method in path.methods & set(model.methods):
                expected = model.score(method, rows)
                _require_equal(path.score(method, matrix), expected, method)
                _require_equal(path.score(method, matrix[:1]), expected[:1], f"{method} of one row")
