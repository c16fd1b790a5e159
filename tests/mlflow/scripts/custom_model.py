"""A model of one's own: a class of Python with a threshold that it is saved with."""

import mlflow
import pandas as pd


class Threshold(mlflow.pyfunc.PythonModel):
    def __init__(self, at):
        self.at = at

    def predict(self, context, model_input, params=None):
        return (model_input["value"] > self.at).astype(int)


rows = pd.DataFrame({"value": [0.1, 0.4, 0.9]})
with mlflow.start_run():
    mlflow.log_param("at", 0.3)
    described = mlflow.pyfunc.log_model("threshold", python_model=Threshold(0.3), input_example=rows)
    mlflow.log_metric("positives", int(mlflow.pyfunc.load_model(described.model_uri).predict(rows).sum()))
