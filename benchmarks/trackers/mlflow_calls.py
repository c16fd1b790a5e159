"""A tracker of `make bench-tracking`: MLflow's calls; MLFLOW_TRACKING_URI says who keeps what they log."""

from __future__ import annotations

import mlflow
from workload import BEST, DEPTH, SHOWN, ShortRun, main

EXPERIMENT = "bench"


def record(run: ShortRun) -> None:
    with mlflow.start_run():
        mlflow.log_params(run.parameters)
        for step, accuracy in enumerate(run.accuracies):
            mlflow.log_metric("accuracy", accuracy, step=step)


def close() -> None:
    """Each run was kept when it ended."""


def newest() -> list[float]:
    return _search("", "attributes.start_time DESC")


def best() -> list[float]:
    # A parameter is text to MLflow, so it can be equal and not less; `record` logs whole numbers for this one.
    return _search(f"params.depth = '{DEPTH}' and metrics.accuracy > {BEST}", "metrics.accuracy DESC")


def _search(filter_string: str, order: str) -> list[float]:
    client = mlflow.MlflowClient()
    experiments = [client.get_experiment_by_name(EXPERIMENT).experiment_id]
    runs = client.search_runs(experiments, filter_string, max_results=SHOWN, order_by=[order])
    return [run.data.metrics["accuracy"] for run in runs]


if __name__ == "__main__":
    mlflow.set_experiment(EXPERIMENT)
    main(record=record, close=close, newest=newest, best=best)
