"""A trial of a sweep that logs its score at each epoch; a bad one is to be stopped before it is done."""

import argparse
import time

import mlflow

parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float, required=True)
rate = parser.parse_args().rate

mlflow.log_param("rate_squared", rate**2)
for epoch in range(40):
    mlflow.log_metric("score", rate * (1 + epoch / 100), step=epoch)
    time.sleep(0.1 if rate < 0.5 else 0.01)
mlflow.log_metric("epochs", epoch + 1)
