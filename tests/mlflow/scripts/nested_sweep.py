"""A loop over hyperparameters: a parent run, a child run for each, and the best of them found by a query."""

import mlflow
from sklearn.datasets import load_iris
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeClassifier

features, species = load_iris(return_X_y=True)

with mlflow.start_run(run_name="depths") as parent:
    for depth in (1, 2, 3):
        with mlflow.start_run(run_name=f"depth {depth}", nested=True):
            scores = cross_val_score(DecisionTreeClassifier(max_depth=depth, random_state=0), features, species, cv=3)
            mlflow.log_param("max_depth", depth)
            for fold, score in enumerate(scores):
                mlflow.log_metric("fold_score", score, step=fold)
            mlflow.log_metric("score", scores.mean())
    children = mlflow.search_runs(
        filter_string=f"tags.mlflow.parentRunId = '{parent.info.run_id}'", order_by=["metrics.score DESC"]
    )
    mlflow.log_metric("children", len(children))
    mlflow.set_tag("best_depth", children.iloc[0]["params.max_depth"])

try:
    with mlflow.start_run(nested=True, run_name="broken"):
        raise RuntimeError("this child fails on purpose")
except RuntimeError as error:
    print(error)
