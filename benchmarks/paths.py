"""`python -m benchmarks.paths`: an answer in process, as a ratio to `model.predict` between orjson and orjson.

Each pair runs in turn, medians of pairs; both are given the bytes of a body and return those of an answer.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LOKY_MAX_CPU_COUNT"), "1"))

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris, make_classification
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.support.serving_models import packaged

PAIRS = 31


def models() -> Iterator[tuple[str, Any, Any]]:
    """Name, fitted model and a few rows of what it was fitted on."""
    data, labels = load_iris(return_X_y=True)
    yield "logistic regression, iris", LogisticRegression(max_iter=500).fit(data, labels), data[::30]
    random = np.random.default_rng(0)
    data, labels = make_classification(3000, 30, n_informative=10, random_state=0)
    frame = pd.DataFrame(data, columns=[f"c{number}" for number in range(30)])
    for name in frame.columns[24:]:
        frame[name] = random.choice(["red", "green", "blue"], 3000)
    frame.loc[::10, "c3"] = np.nan
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    prepare = ColumnTransformer([("n", numbers, frame.columns[:24]), ("c", encoder, frame.columns[24:])])
    boosted = make_pipeline(prepare, HistGradientBoostingClassifier(random_state=0)).fit(frame, labels)
    yield "boosting behind 30 columns", boosted, frame.iloc[1:6]
    yield "random forest of 200 trees", RandomForestClassifier(200, random_state=0).fit(data, labels), data[:5]


def main() -> None:
    print(f"{'':28} {'rows':>5} {'ratio':>7} {'µs':>9} {'bare µs':>9}")
    for name, model, few in models():
        frame = few if isinstance(few, pd.DataFrame) else None
        rows = json.loads(few.to_json(orient="values")) if frame is not None else few.tolist()
        with tempfile.TemporaryDirectory() as folder:
            service = packaged(
                Path(folder), model, name="bench", frame=frame, sample_rows=None if frame is not None else rows
            )
            for count in (1, 1000):
                body = json.dumps({"data": [rows[number % len(rows)] for number in range(count)]}).encode()
                bare = _bare(model, None if frame is None else list(frame.columns), body)
                _print(name, count, lambda body=body: service.answer("predict", body), bare)  # noqa: B023 - called at once


def _bare(model: Any, columns: list[str] | None, body: bytes) -> Callable[[], bytes]:
    """What a service written by hand does between the bytes of a request and those of its answer."""

    def answer() -> bytes:
        rows = orjson.loads(body)["data"]
        given = np.array(rows) if columns is None else pd.DataFrame(rows, columns=columns)
        return orjson.dumps({"predictions": model.predict(given).tolist()})

    return answer


def _print(name: str, count: int, ours: Callable[[], Any], bare: Callable[[], Any]) -> None:
    repeats = 20 if count == 1 else 1
    pairs = [(_time(ours, repeats), _time(bare, repeats)) for _ in range(PAIRS)]
    ratio = statistics.median(theirs / our for our, theirs in pairs)
    our, theirs = (statistics.median(column) * 1e6 for column in zip(*pairs, strict=True))
    print(f"{name:28} {count:5} {ratio:7.1f} {our:9.0f} {theirs:9.0f}", flush=True)


def _time(call: Callable[[], Any], repeats: int) -> float:
    begun = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - begun) / repeats


if __name__ == "__main__":
    main()
