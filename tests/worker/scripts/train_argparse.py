"""argparse, a main guard, a model dumped into outputs/."""

import argparse
import os

import joblib
from sklearn import datasets
from sklearn.metrics import accuracy_score, confusion_matrix
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kernel", type=str, default="linear", help="Kernel type to be used in the algorithm")
    parser.add_argument("--penalty", type=float, default=1.0, help="Penalty parameter of the error term")
    args = parser.parse_args()

    iris = datasets.load_iris()
    X_train, X_test, y_train, y_test = train_test_split(iris.data, iris.target, random_state=0)
    model = SVC(kernel=args.kernel, C=args.penalty).fit(X_train, y_train)
    predicted = model.predict(X_test)
    print("Kernel type:", args.kernel, "Penalty:", args.penalty)
    print("Accuracy of SVM classifier on test set: {:.2f}".format(accuracy_score(y_test, predicted)))
    print(confusion_matrix(y_test, predicted))
    os.makedirs("outputs", exist_ok=True)
    joblib.dump(model, "outputs/model.joblib")


if __name__ == "__main__":
    main()
