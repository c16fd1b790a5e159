"""Register models by name: while one is logged, and afterwards by its address; then tag and alias a version."""

import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

features, species = load_iris(return_X_y=True)

with mlflow.start_run() as run:
    linear = LogisticRegression(max_iter=500).fit(features, species)
    mlflow.log_metric("accuracy", linear.score(features, species))
    mlflow.sklearn.log_model(linear, "linear", input_example=features[:2], registered_model_name="iris-linear")
    tree = DecisionTreeClassifier(random_state=0).fit(features, species)
    described = mlflow.sklearn.log_model(tree, "tree", input_example=features[:2])
    version = mlflow.register_model(described.model_uri, "iris-tree")

client = mlflow.MlflowClient()
client.set_registered_model_alias("iris-tree", "champion", version.version)
client.set_model_version_tag("iris-tree", version.version, "checked", "yes")
client.update_model_version("iris-tree", version.version, description="a tree without limits")
assert client.get_model_version_by_alias("iris-tree", "champion").version == version.version
loaded = mlflow.pyfunc.load_model(f"models:/iris-tree/{version.version}")
assert list(loaded.predict(features)) == list(tree.predict(features))
names = {model.name for model in client.search_registered_models()}
assert {"iris-linear", "iris-tree"} <= names, names
