"""Register models by name: while one is logged, and afterwards by its address; then tag and alias a version."""

import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression, RidgeClassifier

features, species = load_iris(return_X_y=True)

with mlflow.start_run() as run:
    linear = LogisticRegression(max_iter=500).fit(features, species)
    mlflow.log_metric("accuracy", linear.score(features, species))
    mlflow.sklearn.log_model(linear, "linear", input_example=features[:2], registered_model_name="iris-linear")
    ridge = RidgeClassifier().fit(features, species)
    described = mlflow.sklearn.log_model(ridge, "ridge", input_example=features[:2])
    version = mlflow.register_model(described.model_uri, "iris-ridge")

client = mlflow.MlflowClient()
client.set_registered_model_alias("iris-ridge", "champion", version.version)
client.set_model_version_tag("iris-ridge", version.version, "checked", "yes")
client.update_model_version("iris-ridge", version.version, description="without tuning")
assert client.get_model_version_by_alias("iris-ridge", "champion").version == version.version
loaded = mlflow.pyfunc.load_model(f"models:/iris-ridge/{version.version}")
assert list(loaded.predict(features)) == list(ridge.predict(features))
names = {model.name for model in client.search_registered_models()}
assert {"iris-linear", "iris-ridge"} <= names, names
