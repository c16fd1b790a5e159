"""Train a support vector machine on the iris data, as Azure ML's scikit-learn tutorial does."""

import argparse
import os

import joblib
from sklearn import datasets
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from amlcore import Run

parser = argparse.ArgumentParser()
parser.add_argument("--kernel", default="linear", help="kernel of the support vector machine")
parser.add_argument("--penalty", type=float, default=1.0, help="C, the inverse of the strength of regularisation")
args = parser.parse_args()

run = Run.get_context()
run.log("Kernel type", args.kernel)
run.log("Penalty", args.penalty)

iris = datasets.load_iris()
X_train, X_test, y_train, y_test = train_test_split(iris.data, iris.target, random_state=0)

model = SVC(kernel=args.kernel, C=args.penalty).fit(X_train, y_train)
accuracy = model.score(X_test, y_test)
print(f"Accuracy of SVM classifier on test set: {accuracy:.4f}")
run.log("Accuracy", accuracy)

matrix = confusion_matrix(y_test, model.predict(X_test))
print(matrix)
run.log_confusion_matrix("Confusion matrix", matrix, labels=list(iris.target_names))
run.log_sample(X_train)

os.makedirs("outputs", exist_ok=True)
joblib.dump(model, "outputs/model.joblib")
