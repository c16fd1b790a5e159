import logging
import sys
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

logging.basicConfig(level=logging.INFO)
logging.info("to stderr")
X, y = np.eye(4), [0, 1, 0, 1]
MLPClassifier(max_iter=1, random_state=0).fit(X, y)
warnings.warn("look out", UserWarning)
warnings.warn("again", ConvergenceWarning)
print("partial line", end="")
print(" -> stderr", file=sys.stderr)
sys.stdout.write(" done")
