"""LightGBM and XGBoost, logged by MLflow itself: a value of each metric for each round."""

import lightgbm
import mlflow
import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

mlflow.autolog(log_datasets=False)
features, label = load_breast_cancer(return_X_y=True, as_frame=True)
train, test, train_label, test_label = train_test_split(features, label, random_state=0)

with mlflow.start_run(run_name="lightgbm"):
    data = lightgbm.Dataset(train, label=train_label)
    lightgbm.train(
        {"objective": "binary", "metric": "auc", "verbose": -1, "num_threads": 1},
        data,
        num_boost_round=8,
        valid_sets=[lightgbm.Dataset(test, label=test_label, reference=data)],
        valid_names=["test"],
    )

with mlflow.start_run(run_name="xgboost"):
    xgboost.train(
        {"objective": "binary:logistic", "eval_metric": "logloss", "nthread": 1},
        xgboost.DMatrix(train, label=train_label),
        num_boost_round=8,
        evals=[(xgboost.DMatrix(test, label=test_label), "test")],
        verbose_eval=False,
    )
