"""Let MLflow log by itself what scikit-learn does: a plain fit, then a search with its candidates."""

import mlflow
from sklearn.datasets import load_wine
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV

mlflow.sklearn.autolog(max_tuning_runs=3)
features, kind = load_wine(return_X_y=True, as_frame=True)

with mlflow.start_run() as run:
    Ridge(alpha=0.5).fit(features, kind)

logged = mlflow.get_run(run.info.run_id)
assert logged.data.params["alpha"] == "0.5", logged.data.params
assert "training_r2_score" in logged.data.metrics, logged.data.metrics

with mlflow.start_run(run_name="search"):
    GridSearchCV(Ridge(), {"alpha": [0.1, 1.0, 10.0]}, cv=3).fit(features, kind)
