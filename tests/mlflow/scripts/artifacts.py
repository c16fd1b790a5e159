"""Every way to keep a file: files and folders, a figure, an image, a table, a dictionary and text."""

import json
import os
import tempfile

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import mlflow
import numpy as np

with mlflow.start_run():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "notes.txt")
        with open(path, "w") as stream:
            stream.write("kept\n")
        mlflow.log_artifact(path)
        mlflow.log_artifact(path, artifact_path="deep/er")
        mlflow.log_artifacts(folder, artifact_path="folder")
    figure, axes = plt.subplots()
    axes.plot([1, 4, 9])
    mlflow.log_figure(figure, "plots/squares.png")
    mlflow.log_image(np.zeros((8, 8, 3), dtype=np.uint8), "black.png")
    mlflow.log_table({"question": ["one", "two"], "answer": [1, 2]}, "table.json")
    mlflow.log_table({"question": ["three"], "answer": [3]}, "table.json")
    mlflow.log_dict({"depth": 3}, "settings.json")
    mlflow.log_dict({"depth": 3}, "settings.yaml")
    mlflow.log_text("hello", "words/hello.txt")
    here = mlflow.get_artifact_uri("settings.json")

assert mlflow.artifacts.load_dict(here) == {"depth": 3}
run = mlflow.last_active_run()
listed = {file.path for file in mlflow.MlflowClient().list_artifacts(run.info.run_id)}
assert {"notes.txt", "deep", "folder", "plots", "black.png", "table.json", "words"} <= listed, listed
local = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="table.json")
with open(local) as stream:
    assert json.load(stream)["columns"] == ["question", "answer"]
