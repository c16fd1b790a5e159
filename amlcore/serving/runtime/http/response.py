"""Answers: what a model returns, as JSON."""

from __future__ import annotations

import json
import math
from typing import Any

try:
    import orjson
except ImportError:  # an environment that it does not fit in
    orjson = None  # type: ignore[assignment]

WHOLE_OR_DOUBLE = "lqd"
"""The types of numpy that orjson writes as Python writes their values."""

MOST_DENSE = 10_000
"""Columns of a sparse answer that are written with their zeros."""

KEYS = {
    "predict": "predictions",
    "predict_proba": "probabilities",
    "decision_function": "scores",
    "transform": "transformed",
}


def dumps(value: Any) -> bytes:
    if orjson is not None:
        try:
            return orjson.dumps(value)
        except TypeError:  # what orjson lacks: integers beyond 64 bits, half of a surrogate pair
            pass
    return json.dumps(value, allow_nan=False).encode()


class Writer:
    """Writes the answers of one model, with what is the same in all of them put into bytes once."""

    def __init__(self, name: str, version: int, classes: Any) -> None:
        stamp = b', "model": ' + dumps(name) + b', "version": ' + dumps(version) + b"}"
        labelled = b', "classes": ' + dumps(classes) + stamp
        self._heads = {method: b'{"' + key.encode() + b'": ' for method, key in KEYS.items()}
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
                # an array of numbers: NaN and infinities become null, as in `plain`
                if result.dtype.char in WHOLE_OR_DOUBLE:
                    return orjson.dumps(result, option=orjson.OPT_SERIALIZE_NUMPY)
            except (AttributeError, TypeError):  # no array, or one whose numbers do not lie in order
                pass
        return dumps(_by_row(result) if method == "predict_proba" else plain(result))


def plain(result: Any) -> Any:
    """What a model answers as JSON values; NaN and infinities, which JSON lacks, become null."""
    import numpy as np

    if isinstance(result, (list, tuple)):
        return [plain(item) for item in result]
    if hasattr(result, "toarray"):  # a sparse matrix, as of multilabel classifiers
        if result.ndim == 2 and result.shape[1] > MOST_DENSE:
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
    """Of each row the values that are not 0, and where they stand: a row of a million would be megabytes of zeros."""
    rows = result.tocsr()
    rows.sort_indices()
    spans = zip(rows.indptr[:-1].tolist(), rows.indptr[1:].tolist())
    size = int(rows.shape[1])
    return [
        {"size": size, "indices": rows.indices[begin:end].tolist(), "values": plain(rows.data[begin:end])}
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
    """Probabilities with the row first; a model of several outputs gives one array an output."""
    if not isinstance(result, list):
        return plain(result)
    outputs = plain(result)
    return [[output[row] for output in outputs] for row in range(len(outputs[0]))]
