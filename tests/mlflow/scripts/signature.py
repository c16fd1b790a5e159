"""A pipeline over columns of several types, saved with its signature and an example of its input."""

import mlflow
import pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

people = pd.DataFrame(
    {
        "age": [22, 38, 26, 35, 54, 2, 27, 14],
        "fare": [7.25, 71.28, 7.92, 53.1, 51.86, 21.07, 11.13, 30.07],
        "port": ["S", "C", "S", "S", "S", "S", "C", "C"],
    }
)
survived = [0, 1, 1, 1, 0, 0, 1, 1]
model = make_pipeline(
    make_column_transformer((StandardScaler(), ["age", "fare"]), (OneHotEncoder(), ["port"])), LogisticRegression()
)
model.fit(people, survived)

with mlflow.start_run():
    mlflow.log_metric("score", model.score(people, survived))
    mlflow.sklearn.log_model(
        model, "survival", signature=infer_signature(people, model.predict(people)), input_example=people.head(4)
    )
    mlflow.sklearn.save_model(model, "outputs/saved")
