# -*- coding: latin-1 -*-
import sys, json
from sklearn.linear_model import LogisticRegression
from sklearn.datasets import load_breast_cancer

C = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
data = load_breast_cancer()
clf = LogisticRegression(C=C, max_iter=5000)
clf.fit(data.data[:, :4], data.target)
print(json.dumps({"C": C, "score": round(clf.score(data.data[:, :4], data.target), 4), "argv": sys.argv}))
print("caf\xe9 \xfcber".encode("utf8"))
