"""Response: what a model returns, as JSON."""

from __future__ import annotations

import json
import math
from typing import Any

try:
    import orjson
except ImportError:  # it conflicts with the packages of this environment
    orjson = None  # type: ignore[assignment]

WHOLE_OR_DOUBLE = "lqd"
"""numpy's type codes whose values orjson writes as Python does: int64 and float64."""

MAX_DENSE = 10_000
"""Columns up to which a sparse answer is written with its zeros."""

ANSWER_KEYS = {
    "predict": "predictions",
    "predict_proba": "probabilities",
    "decision_function": "scores",
    "transform": "transformed",
}


def dumps(value: Any) -> bytes:
    if orjson is not None:
        try:
            return orjson.dumps(value)
        except TypeError:  # orjson lacks integers beyond 64 bits and lone surrogates
            pass
    return json.dumps(value, allow_nan=False).encode()


class Writer:
    """Writes the answers of one model; the parts that all share are encoded once."""

    def __init__(self, name: str, version: int, classes: Any) -> None:
        stamp = b', "model": ' + dumps(name) + b', "version": ' + dumps(version) + b"}"
        labelled = b', "classes": ' + dumps(classes) + stamp
        self._heads = {method: b'{"' + key.encode() + b'": ' for method, key in ANSWER_KEYS.items()}
        self._tails = {
            "predict": stamp,
            "predict_proba": labelled,
            "decision_function": labelled if classes is not None else stamp,
            "transform": stamp,
        }

    def write(self, method: str, result: Any) -> bytes:
        """`result` is what the model's `method` returned."""
        return self._heads[method] + self._value(method, result) + self._tails[method]

    def _value(self, method: str, result: Any) -> bytes:
        if orjson is not None:
            try:
                # NaN and infinities become null, as in `plain`
                if result.dtype.char in WHOLE_OR_DOUBLE:
                    return orjson.dumps(result, option=orjson.OPT_SERIALIZE_NUMPY)
            except (AttributeError, TypeError):  # not an array, or not a contiguous one
                pass
        return dumps(_by_row(result) if method == "predict_proba" else answer_to_json(result))


def answer_to_json(result: Any) -> Any:
    """A model's answer as JSON values; NaN and infinities, which JSON lacks, become null."""
    import numpy as np

    if isinstance(result, (list, tuple)):
        return [answer_to_json(item) for item in result]
    if hasattr(result, "toarray"):  # a sparse matrix, as of multilabel classifiers
        if result.ndim == 2 and result.shape[1] > MAX_DENSE:
            return _sparse_rows(result)
        result = result.toarray()
    array = np.asarray(result)
    if array.dtype.kind in "mM":
        return array.astype(str).tolist()
    if array.dtype.kind == "O":
        return _plain_objects(array.tolist())
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        array = np.where(np.isfinite(array), array.astype(object), np.array(None))
    return array.tolist()


def _sparse_rows(result: Any) -> list[dict[str, Any]]:
    """The nonzero values of each row and their positions: a row of a million columns would be megabytes of zeros."""
    rows = result.tocsr()
    rows.sort_indices()
    spans = zip(rows.indptr[:-1].tolist(), rows.indptr[1:].tolist())
    size = int(rows.shape[1])
    return [
        {"size": size, "indices": rows.indices[begin:end].tolist(), "values": answer_to_json(rows.data[begin:end])}
        for begin, end in spans
    ]


def _plain_objects(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain_objects(item) for item in value]
    if hasattr(value, "item"):  # a numpy scalar
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (str, int, float)) else str(value)


def _by_row(result: Any) -> Any:
    """Probabilities by row; a model with several outputs returns an array for each output."""
    if not isinstance(result, list):
        return answer_to_json(result)
    outputs = answer_to_json(result)
    return [[output[row] for output in outputs] for row in range(len(outputs[0]))]
