"""Log from several processes and threads at once: workers of joblib, of multiprocessing, and a pool of threads."""

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor

import mlflow
from joblib import Parallel, delayed


def train(number):
    with mlflow.start_run(nested=True, run_name=f"worker {number}"):
        mlflow.log_param("number", number)
        for step in range(20):
            mlflow.log_metric("value", number * 100 + step, step=step)
    return number


def count(run_id, worker):
    client = mlflow.MlflowClient()
    for step in range(25):
        client.log_metric(run_id, f"from_{worker}", step, step=step)


if __name__ == "__main__":
    with mlflow.start_run(run_name="all together") as run:
        mlflow.log_metric("workers", sum(Parallel(n_jobs=2)(delayed(train)(number) for number in range(4))))
        processes = [
            multiprocessing.get_context("fork").Process(target=count, args=(run.info.run_id, f"process_{number}"))
            for number in range(2)
        ]
        for process in processes:
            process.start()
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda number: count(run.info.run_id, f"thread_{number}"), range(4)))
        for process in processes:
            process.join()
            assert process.exitcode == 0, process.exitcode
        mlflow.log_metric("pid_is_set", float(os.getpid() > 0))
