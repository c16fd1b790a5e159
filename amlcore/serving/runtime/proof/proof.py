"""Proof: each path is compared with the model and measured; a path that is not equal is dropped."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..inputs.equality import TOLERANCE, Different, by_row, require_equal
from ..inputs.reference_model import ReferenceModel
from ..inputs.signature import Signature
from ..paths import UNCHECKED, NotHandled, PredictPath, Preparation, candidates
from ..rows.row_encoder import RowEncoder
from .synthetic_rows import STYLES, UNSEEN, SyntheticRows, at_thresholds

SYNTHETIC_ROWS = 3000
FEW, LOOSE, COMPARED_S = 100, 20, 30.0
"""Synthetic rows for a slow model: as many as it answers in COMPARED_S, but at least FEW, and LOOSE loose ones."""
AT_THRESHOLDS = 20_000
SINGLY, SINGLY_S = 500, 1.5
"""Rows that are compared one by one: SINGLY, or as many as SINGLY_S allows."""
CHECKED = 16
"""Rows that are compared again at each start."""
SIZES = (1, 10, 100, 1000)
SLOW = 100
PROBED_COLUMNS = 100
MODEL = "model"
NOTHING: dict[str, Any] = {"candidates": {}, "chosen": {}, "missing": [], "style": None}
"""The report if only the model itself can answer."""


class BaselineModel(ReferenceModel):
    """The model's own answers, as the service gives them without a fast path."""

    def __init__(self, estimator: Any, signature: Signature) -> None:
        super().__init__(estimator, signature)
        self.methods = [method for method in ("predict", "predict_proba") if hasattr(estimator, method)]


def make_proof(
    estimator: Any, signature: Signature, sample: list[list[Any]], *, with_onnx: bool = False
) -> dict[str, Any]:
    """The report: which path answers how many rows, and each candidate's equality and speed."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return _make_proof(estimator, signature, sample, candidates(estimator, signature, with_onnx=with_onnx))
        except Exception as error:  # the model itself still answers
            return {**NOTHING, "because": f"the comparison failed: {type(error).__name__}: {error}"[:300]}


def _make_proof(
    estimator: Any, signature: Signature, sample: list[list[Any]], paths: dict[str, PredictPath]
) -> dict[str, Any]:
    model = BaselineModel(estimator, signature)
    if not model.methods:
        return {**NOTHING, "because": "the model has no predict"}
    if not paths:
        return {**NOTHING, "because": "a part of the model, or the form of its rows, is not supported"}
    preparation = next(iter(paths.values())).preparation
    synthetic = _accepted(model, signature, preparation, sample)
    if synthetic is None:
        return {**NOTHING, "because": "the model refuses the synthetic rows"}
    row, missing, unseen = _limits(model, synthetic)
    rows = synthetic.rows(_affordable(model, synthetic), missing=missing, unseen=unseen)
    rows += [one for one in sample if len(one) == len(missing) and model.takes("predict", [one])]
    batches = [(one, _answers(model, one)) for one in _batches(model, synthetic, rows)]
    reader = RowEncoder(signature, preparation, missing)
    unknown_texts = [[*row[:place], UNSEEN, *row[place + 1 :]] for place in synthetic.text_columns if not unseen[place]]
    outcomes = {name: _outcome(model, path, reader, batches, unknown_texts) for name, path in paths.items()}
    equal = {name: path for name, path in paths.items() if outcomes[name]["equal"]}
    speeds = _measure(model, equal, reader, _handled_by_all(equal, reader, rows))
    for name, speed in speeds.items():
        outcomes.setdefault(name, {"equal": True})["microseconds"] = speed
    chosen = {
        method: _ladder({name: speed[method] for name, speed in speeds.items() if method in speed})
        for method in model.methods
    }
    conditions = {"missing": missing, "style": synthetic.style, "tolerance": TOLERANCE, "because": None}
    return {"candidates": outcomes, "chosen": chosen, **conditions}


def _accepted(
    model: BaselineModel, signature: Signature, preparation: Preparation, sample: list[list[Any]]
) -> SyntheticRows | None:
    """The rows of the first style that the model accepts."""
    nowhere = [False] * len(preparation.codings)
    for style in STYLES:
        synthetic = SyntheticRows(signature, preparation, sample, style=style)
        if model.takes("predict", synthetic.rows(20, missing=nowhere, unseen=nowhere)):
            return synthetic
    return None


def _affordable(model: BaselineModel, synthetic: SyntheticRows) -> int:
    """How many rows to compare: fewer for a slow model."""
    nowhere = [False] * synthetic.width
    few = synthetic.rows(FEW, missing=nowhere, unseen=nowhere)
    started = time.perf_counter()
    for method in model.methods:
        model.score(method, few)
    seconds = (time.perf_counter() - started) / FEW
    return min(SYNTHETIC_ROWS, max(FEW, int(COMPARED_S / max(seconds, 1e-9))))


def _batches(model: BaselineModel, synthetic: SyntheticRows, rows: list[list[Any]]) -> list[list[list[Any]]]:
    """The rows, and copies of some with integers where a client may write them for floats, and vice versa."""
    few = rows[: max(LOOSE, len(rows) // 10)]
    variants = [changed for changed in (synthetic.loose(few), synthetic.whole(few)) if changed != few]
    return [rows, *(changed for changed in variants if model.takes("predict", changed))]


def _answers(model: BaselineModel, rows: list[list[Any]]) -> dict[str, Any]:
    return {method: by_row(model.score(method, rows)) for method in model.methods}


def _limits(model: BaselineModel, synthetic: SyntheticRows) -> tuple[list[Any], list[bool], list[bool]]:
    """A row, and for each column whether the model accepts a null there, and an unknown text."""
    nowhere = [False] * synthetic.width
    row = synthetic.rows(1, missing=nowhere, unseen=nowhere)[0]
    if synthetic.width > PROBED_COLUMNS:
        return row, nowhere, nowhere

    def with_one(place: int, value: Any) -> bool:
        return model.takes("predict", [[*row[:place], value, *row[place + 1 :]]])

    missing = [with_one(place, None) for place in range(synthetic.width)]
    unseen = [place in synthetic.text_columns and with_one(place, UNSEEN) for place in range(synthetic.width)]
    if not model.takes("predict", synthetic.rows(200, missing=missing, unseen=unseen)):
        return row, nowhere, nowhere
    return row, missing, unseen


def _outcome(
    model: BaselineModel,
    path: PredictPath,
    reader: RowEncoder,
    batches: list[tuple[list[list[Any]], dict[str, Any]]],
    unknown_texts: list[list[Any]],
) -> dict[str, Any]:
    """The entry for one candidate in the report; `unknown_texts` are rows that it must leave to the model."""
    try:
        compared = sum(_compare(model, path, reader, rows, expected) for rows, expected in batches)
        if any(_handles(path, reader.matrix([row])) for row in unknown_texts):
            raise Different("it takes an unknown text that the model refuses")
    except Exception as difference:  # whatever a path raises, it does not answer as the model does
        return {"equal": False, "because": f"{type(difference).__name__}: {difference}"[:300]}
    return {"equal": True, "rows": compared}


def _handled_by_all(paths: dict[str, PredictPath], reader: RowEncoder, rows: list[list[Any]]) -> list[list[Any]]:
    for path in paths.values():
        rows = [rows[number] for number in _not_refused(path, reader.matrix(rows))]
    return rows


def _compare(
    model: BaselineModel, path: PredictPath, reader: RowEncoder, rows: list[list[Any]], expected: dict[str, Any]
) -> int:
    """The number of rows compared; raises Different unless all are equal."""
    matrix = reader.matrix(rows)
    handled = _not_refused(path, matrix)
    if len(handled) < len(rows) / 2:
        raise Different(f"it leaves {len(rows) - len(handled)} of {len(rows)} rows to the model")
    matrix, rows = matrix[handled], [rows[number] for number in handled]
    expected = {method: model_answers[handled] for method, model_answers in expected.items() if method in path.methods}
    for method, model_answers in expected.items():
        many = f"{method} of {len(rows)} rows"
        _require_equal(path.score(method, matrix), model_answers, many, model=model, method=method, rows=rows)
        until = time.monotonic() + SINGLY_S
        for number in range(min(SINGLY, len(rows))):
            if time.monotonic() > until:
                break
            alone, what = [rows[number]], f"{method} of row {number} alone"
            model_answer = model_answers[number : number + 1]
            for single in _single_row_answers(path, reader, method, rows[number]):
                _require_equal(single, model_answer, what, model=model, method=method, rows=alone)
    thresholds = path.scorer.thresholds()
    if not thresholds:
        return len(rows)
    prepared = at_thresholds(path.preparation(matrix), thresholds, most=AT_THRESHOLDS)
    final = path.preparation.final
    for method in path.methods & set(expected):
        model_answers = by_row(getattr(final, method)(prepared))
        require_equal(path.scorer.score(method, prepared), model_answers, f"{method} at thresholds")
    return len(rows) + len(prepared)


def _single_row_answers(path: PredictPath, reader: RowEncoder, method: str, row: list[Any]) -> list[Any]:
    """The answers of `path` to one row, in each way that it can be asked."""
    answers = [path.score(method, reader.matrix([row]))]
    return answers if path.alone(method) is None else [*answers, _score(path, reader, method, [row])]


def _not_refused(path: PredictPath, matrix: Any) -> list[int]:
    """The numbers of the rows that the path does not leave to the model."""
    try:
        path.prepare(matrix)
    except NotHandled:
        return [number for number in range(len(matrix)) if _handles(path, matrix[number : number + 1])]
    return list(range(len(matrix)))


def _handles(path: PredictPath, matrix: Any) -> bool:
    try:
        path.prepare(matrix)
    except NotHandled:
        return False
    return True


def _require_equal(
    actual: Any, expected: Any, what: str, *, model: BaselineModel, method: str, rows: list[list[Any]]
) -> None:
    """Raise Different unless `actual` is the model's answer to `rows`; `expected` is its answer to them among others.

    The last bits of a model's own numbers may depend on the number of rows in a call, and a label on those bits.
    """
    try:
        require_equal(actual, expected, what)
    except Different:
        require_equal(actual, by_row(model.score(method, rows)), what)


def _measure(
    model: BaselineModel, paths: dict[str, PredictPath], reader: RowEncoder, rows: list[list[Any]]
) -> dict[str, dict[str, dict[str, float]]]:
    """Microseconds by candidate, method and number of rows, from parsed rows to the answer; measured in turn."""
    calls: dict[str, Callable[[str, list[list[Any]]], Any]] = {MODEL: model.answer}
    for name, path in paths.items():
        calls[name] = partial(_score, path, reader)
    speeds: dict[str, dict[str, dict[str, float]]] = {name: {} for name in calls}
    for method in model.methods:
        able = [name for name in calls if name == MODEL or method in paths[name].methods]
        for size in SIZES:
            batch = [rows[number % len(rows)] for number in range(size)]
            best = dict.fromkeys(able, float("inf"))
            for repeat in range(4 if size > SLOW else 7):
                for name in able:
                    started = time.perf_counter()
                    calls[name](method, batch)
                    if repeat:  # the first one warms up
                        best[name] = min(best[name], time.perf_counter() - started)
            for name, seconds in best.items():
                speeds[name].setdefault(method, {})[str(size)] = round(seconds * 1e6, 1)
    return speeds


def _score(path: PredictPath, reader: RowEncoder, method: str, rows: list[list[Any]]) -> Any:
    """The answer to `rows`, computed as `FastPaths` does."""
    alone, row = path.alone(method), reader.row(rows)
    answer = alone(row) if alone is not None and row is not None else None
    return path.score(method, reader.matrix(rows, is_numeric=True)) if answer is None else answer


def _ladder(speeds: dict[str, dict[str, float]]) -> list[list[Any]]:
    """Pairs of a number of rows and the path up to it; between two sizes with different paths, the geometric mean."""
    # the last step without its checks cannot be slower, whatever a noisy machine measures
    able = speeds.keys() - {MODEL} if UNCHECKED in speeds else speeds.keys()
    fastest = [min(able, key=lambda name: speeds[name][str(size)]) for size in SIZES]
    rungs: list[list[Any]] = []
    for index, name in enumerate(fastest):
        if index + 1 == len(fastest):
            rungs.append([None, name])
        elif fastest[index + 1] != name:
            rungs.append([int((SIZES[index] * SIZES[index + 1]) ** 0.5), name])
    return rungs


def recheck(
    estimator: Any,
    paths: dict[str, PredictPath],
    reader: RowEncoder,
    *,
    signature: Signature,
    sample: list[list[Any]],
    report: dict[str, Any],
) -> None:
    """Compare `paths` with the model once more, on a few rows.

    Raises
    ------
    Different
        One of them does not answer as the model does.
    """
    model, missing = BaselineModel(estimator, signature), report["missing"]
    nowhere = [False] * len(missing)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for path in paths.values():
            synthetic = SyntheticRows(signature, path.preparation, sample, style=report["style"], seed=1)
            rows = synthetic.rows(CHECKED, missing=missing, unseen=nowhere)
            matrix = reader.matrix(rows)
            for method in path.methods & set(model.methods):
                require_equal(path.score(method, matrix), by_row(model.score(method, rows)), method)
                alone = by_row(model.score(method, rows[:1]))
                for single in _single_row_answers(path, reader, method, rows[0]):
                    require_equal(single, alone, f"{method} of one row")
