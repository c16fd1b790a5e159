"""Fit a classifier, and log its parameters, its score, a tag and the model with its signature."""

import mlflow
from mlflow.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split

features, species = load_iris(return_X_y=True, as_frame=True)
train, test, train_species, test_species = train_test_split(features, species, test_size=0.2, random_state=7)

settings = {"solver": "lbfgs", "max_iter": 1000, "random_state": 8888}
mlflow.set_experiment("Iris quickstart")
with mlflow.start_run(run_name="first try"):
    mlflow.log_params(settings)
    classifier = LogisticRegression(**settings).fit(train, train_species)
    predicted = classifier.predict(test)
    mlflow.log_metric("accuracy", accuracy_score(test_species, predicted))
    for step in range(5):
        mlflow.log_metric("loss", 1 / (1 + step), step=step)
    mlflow.set_tag("purpose", "quickstart")
    signature = infer_signature(train, classifier.predict(train))
    described = mlflow.sklearn.log_model(classifier, "model", signature=signature, input_example=train.iloc[:3])

again = mlflow.pyfunc.load_model(described.model_uri)
assert list(again.predict(test)) == list(predicted)
