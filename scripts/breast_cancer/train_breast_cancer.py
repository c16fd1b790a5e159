"""Tell malignant from benign tumours by a logistic regression, cross-validated."""

import argparse
import os

import joblib
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from amlcore import Run

parser = argparse.ArgumentParser()
parser.add_argument("--penalty", type=float, default=1.0, help="C, the inverse of the strength of regularisation")
parser.add_argument("--folds", type=int, default=5, help="of the cross-validation")
args = parser.parse_args()

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
model = make_pipeline(StandardScaler(), LogisticRegression(C=args.penalty, random_state=0))

run = Run.get_context()
folds = StratifiedKFold(args.folds, shuffle=True, random_state=0)
scores = cross_val_score(model, X, y, cv=folds)
for i, score in enumerate(scores):
    run.log("fold accuracy", score, step=i)
print(f"Accuracy {scores.mean():.4f} over {args.folds} folds, between {scores.min():.4f} and {scores.max():.4f}")
run.log("Accuracy", scores.mean())
run.log_sample(X)

os.makedirs("outputs", exist_ok=True)
joblib.dump(model.fit(X, y), "outputs/model.joblib")
