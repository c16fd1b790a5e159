"""Four processes that each start a run of MLflow at the same moment."""

import multiprocessing

import mlflow


def start(barrier, number):
    barrier.wait()
    with mlflow.start_run():
        mlflow.log_metric("number", number)
        mlflow.log_param(f"of_{number}", number)


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    processes = [context.Process(target=start, args=(barrier, number)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
