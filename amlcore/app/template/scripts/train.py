"""Train a random forest on the wine data and keep it in outputs/."""

import argparse
import os

import joblib
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from amlcore import Run

parser = argparse.ArgumentParser()
parser.add_argument("--n_estimators", type=int, default=100)
parser.add_argument("--max_depth", type=int, default=4)
args = parser.parse_args()

X, y = load_wine(return_X_y=True, as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

model = RandomForestClassifier(n_estimators=args.n_estimators, max_depth=args.max_depth, random_state=0)
model.fit(X_train, y_train)
accuracy = model.score(X_test, y_test)
print(f"accuracy {accuracy:.4f}")

run = Run.get_context()
run.log("accuracy", accuracy)
run.log_sample(X_train)

os.makedirs("outputs", exist_ok=True)
joblib.dump(model, "outputs/model.joblib")
