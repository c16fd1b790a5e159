"""The models that `make bench-serving` measures, and how each server is started."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """A model and its rows."""

    name: str
    estimator: Any
    rows: list[list[Any]]
    frame: Any = None  # what it was trained on, where that had names

    def body(self, count: int, server: str) -> dict[str, Any]:
        rows = [self.rows[number % len(self.rows)] for number in range(count)]
        if self.frame is None and server == "mlserver":
            whole = {"name": "rows", "shape": [count, len(rows[0])], "datatype": "FP64", "data": rows}
            return {"inputs": [whole]}
        if self.frame is None:
            return {"inputs": rows} if server == "mlflow" else {"data": rows}
        names = list(self.frame.columns)
        if server == "mlflow":
            return {"dataframe_split": {"columns": names, "data": rows}}
        if server == "bentoml":
            return {"data": [dict(zip(names, row, strict=True)) for row in rows]}
        return {"data": rows}


@dataclass(frozen=True)
class Server:
    """How one server is started beside model.joblib; `python` None: this one."""

    name: str
    command: Callable[[Case, Path, int], list[str]]
    path: str = "/predict"
    requirements: tuple[str, ...] = ()


class NoAnswer(Exception):  # noqa: N818 - a reason to leave a server out
    """A server that does not start, or does not take what the others do."""


def logistic() -> Case:
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    data, target = load_iris(return_X_y=True)
    return Case("logistic regression", LogisticRegression(max_iter=500).fit(data, target), data.tolist())


def boosting() -> Case:
    """Twenty numbers, some missing, and ten texts."""
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    random = np.random.default_rng(0)
    numbers = random.normal(size=(2000, 20))
    texts = random.choice(["red", "green", "blue", "grey"], size=(2000, 10))
    frame = pd.DataFrame(
        {f"n{place}": numbers[:, place] for place in range(20)} | {f"t{place}": texts[:, place] for place in range(10)}
    )
    frame.loc[::17, "n3"] = np.nan
    target = (numbers[:, 0] + (texts[:, 0] == "red") > 0.3).astype(int)
    prepare = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), [f"n{place}" for place in range(20)]),
            (
                "texts",
                OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                [f"t{place}" for place in range(10)],
            ),
        ]
    )
    estimator = make_pipeline(prepare, HistGradientBoostingClassifier(random_state=0)).fit(frame, target)
    rows = json.loads(frame.dropna().head(500).to_json(orient="values"))
    return Case("gradient boosting", estimator, rows, frame)


def forest() -> Case:
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier

    data, target = load_breast_cancer(return_X_y=True)
    estimator = RandomForestClassifier(n_estimators=200, random_state=0).fit(data, target)
    return Case("random forest", estimator, data.tolist())


def neighbours() -> Case:
    """Slow, by compiled code."""
    from sklearn.neighbors import KNeighborsClassifier

    rows = np.random.default_rng(0).normal(size=(20_000, 10))
    return Case("neighbours", KNeighborsClassifier().fit(rows, rows[:, 0] > 0), rows[:500].tolist())


def words() -> Case:
    """Without a path of its own, and slow in Python, which lets one thread at a time run."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    random = np.random.default_rng(0)
    texts = [" ".join(f"word{number}" for number in random.integers(0, 500, 20)) for _ in range(500)]
    estimator = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, random.integers(0, 2, 500))
    return Case("words", estimator, [[text] for text in texts])


def uvicorn(app: str) -> Callable[[Case, Path, int], list[str]]:
    options = ["--no-access-log", "--log-level", "warning"]
    return lambda _case, _place, port: ["-m", "uvicorn", app, "--port", str(port), *options]


def bentoml(case: Case, _: Path, port: int) -> list[str]:
    service = "documented:Arrays" if case.frame is None else "documented:Frames"
    return ["-m", "bentoml", "serve", service, "--host", "127.0.0.1", "--port", str(port)]


def amlcore(_: Case, place: Path, port: int) -> list[str]:
    return ["-m", "bentoml", "serve", str((place / "bento").resolve()), "--host", "127.0.0.1", "--port", str(port)]


def mlflow(_case: Case, _place: Path, port: int) -> list[str]:
    options = ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    return ["-m", "mlflow", "models", "serve", "--model-uri", "mlflow-model", *options]


def mlserver(case: Case, place: Path, port: int) -> list[str]:
    if case.frame is not None:
        raise NoAnswer("it takes no columns of several types")
    folder = place / "mlserver"
    folder.mkdir(exist_ok=True)
    settings = {"http_port": port, "grpc_port": port + 1, "metrics_port": port + 2, "parallel_workers": 0}
    (folder / "settings.json").write_text(json.dumps({**settings, "host": "127.0.0.1", "debug": False}))
    model = {"implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": str(place / "model.joblib")}}
    (folder / "model-settings.json").write_text(json.dumps({"name": "bench", **model}))
    return ["-c", "from mlserver.cli import main; main()", "start", str(folder)]


BARE = Server("bare ASGI", uvicorn("bare:app"))
OURS = Server("amlcore", amlcore)
DOCUMENTED = Server("bentoml", bentoml)
OTHERS = (
    DOCUMENTED,
    Server("fastapi", uvicorn("with_fastapi:app"), requirements=("fastapi", "uvicorn", "httptools", "uvloop")),
    Server("mlflow", mlflow, path="/invocations", requirements=("mlflow",)),
    Server("mlserver", mlserver, path="/v2/models/bench/infer", requirements=("mlserver", "mlserver-sklearn")),
)
