"""Say what a model was trained and tested on."""

import mlflow
import numpy as np
import pandas as pd

train = pd.DataFrame({"a": [1, 2, 3], "b": [0.5, 0.25, 0.125], "label": [0, 1, 0]})

with mlflow.start_run() as run:
    dataset = mlflow.data.from_pandas(train, source="data/train.csv", name="train", targets="label")
    mlflow.log_input(dataset, context="training")
    mlflow.log_input(dataset, context="training")
    mlflow.log_input(mlflow.data.from_numpy(np.arange(6).reshape(3, 2), name="test"), context="testing")
    mlflow.log_metric("rows", len(train))

inputs = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
assert {given.dataset.name for given in inputs} == {"train", "test"}, inputs
found = next(given for given in inputs if given.dataset.name == "train")
assert found.dataset.digest == dataset.digest
assert found.tags[0].value == "training"
