import numpy as np
from joblib import Parallel, delayed
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV


def square(i):
    return i * i


X, y = load_iris(return_X_y=True)
search = GridSearchCV(RandomForestClassifier(n_estimators=5, random_state=0), {"max_depth": [1, 3]}, cv=3, n_jobs=2)
search.fit(X, y)
print(search.best_params_, round(search.best_score_, 4))
print(Parallel(n_jobs=2)(delayed(square)(i) for i in range(6)))
print(np.round(Parallel(n_jobs=2, prefer="threads")(delayed(np.sqrt)(i) for i in range(4)), 3))
