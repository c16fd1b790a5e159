"""Everything by hand through the client: an experiment, a run, batches, tags that change, and the end."""

import time

import mlflow
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

client = mlflow.MlflowClient()
experiment = client.get_experiment_by_name("by hand")
experiment_id = client.create_experiment("by hand") if experiment is None else experiment.experiment_id
run = client.create_run(experiment_id, tags={"stage": "draft"}, run_name="manual")
run_id = run.info.run_id

client.log_param(run_id, "rate", 0.01)
client.log_param(run_id, "rate", 0.01)
try:
    client.log_param(run_id, "rate", 0.02)
except MlflowException as error:
    print(error.error_code)
else:
    raise AssertionError("a parameter must not change")

now = int(time.time() * 1000)
client.log_batch(
    run_id,
    metrics=[Metric("loss", 1.0 / (step + 1), now + step, step) for step in range(10)],
    params=[Param("optimizer", "adam"), Param("layers", "3")],
    tags=[RunTag("stage", "training"), RunTag("temporary", "yes")],
)
client.set_tag(run_id, "stage", "done")
client.delete_tag(run_id, "temporary")
client.log_metric(run_id, "not_a_number", float("nan"))
client.log_metric(run_id, "infinite", float("inf"))
client.log_text(run_id, "by hand", "note.txt")

history = client.get_metric_history(run_id, "loss")
assert [metric.step for metric in history] == list(range(10)), history
assert [metric.timestamp for metric in history] == [now + step for step in range(10)]
read = client.get_run(run_id)
assert read.data.tags["stage"] == "done" and "temporary" not in read.data.tags
assert read.data.params == {"rate": "0.01", "optimizer": "adam", "layers": "3"}, read.data.params
client.set_terminated(run_id)
assert client.get_run(run_id).info.status == "FINISHED"

second = client.create_run(experiment_id, run_name="deleted")
client.delete_run(second.info.run_id)
assert client.get_run(second.info.run_id).info.lifecycle_stage == "deleted"
assert second.info.run_id not in {one.info.run_id for one in client.search_runs([experiment_id])}
