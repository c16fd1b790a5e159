"""Tags and queries: runs that differ in their tags and metrics, found, ordered and counted."""

import mlflow

experiment = mlflow.set_experiment("Search demo")
for number in range(6):
    with mlflow.start_run(run_name=f"run {number}", tags={"parity": "even" if number % 2 == 0 else "odd"}) as run:
        mlflow.log_param("number", number)
        mlflow.log_metric("square", number**2)
        mlflow.set_tags({"long": "x" * 300, "unicode": "größe 大小"})

even = mlflow.search_runs(
    experiment_ids=[experiment.experiment_id],
    filter_string="tags.parity = 'even' and metrics.square > 1",
    order_by=["metrics.square DESC"],
)
assert list(even["metrics.square"]) == [16.0, 4.0], even
assert list(even["params.number"]) == ["4", "2"], even
named = mlflow.search_runs(experiment_names=["Search demo"], filter_string="attributes.run_name LIKE 'run %'")
assert len(named) == 6, named
pages = mlflow.MlflowClient().search_runs([experiment.experiment_id], max_results=2)
assert len(pages) == 2 and pages.token
finished = mlflow.search_runs([experiment.experiment_id], filter_string="attributes.status = 'FINISHED'")
assert len(finished) == 6, finished
mlflow.log_metric("found", len(even)) if mlflow.active_run() else None
