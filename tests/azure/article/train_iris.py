# As a user of Azure ML's v1 SDK has it.
import argparse
import os

import joblib
import numpy as np
from azureml.core.run import Run
from sklearn import datasets
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

run = Run.get_context()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kernel", type=str, default="linear")
    parser.add_argument("--penalty", type=float, default=1.0)
    args = parser.parse_args()
    run.log("Kernel type", str(args.kernel))
    run.log("Penalty", float(args.penalty))

    iris = datasets.load_iris()
    X_train, X_test, y_train, y_test = train_test_split(iris.data, iris.target, random_state=0)
    svm_model_linear = SVC(kernel=args.kernel, C=args.penalty).fit(X_train, y_train)
    accuracy = svm_model_linear.score(X_test, y_test)
    print("Accuracy of SVM classifier on test set: {:.2f}".format(accuracy))
    run.log("Accuracy", float(accuracy))
    print(confusion_matrix(y_test, svm_model_linear.predict(X_test)))

    os.makedirs("outputs", exist_ok=True)
    joblib.dump(svm_model_linear, "outputs/model.joblib")


if __name__ == "__main__":
    main()
