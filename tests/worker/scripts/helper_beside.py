import os
import pickle
import sys

import helper_tools
from helper_tools import DEFAULT, Scaler

print(helper_tools.frame(DEFAULT).to_string())
scaler = pickle.loads(pickle.dumps(Scaler(2)))
print(scaler(21), type(scaler).__module__, __name__, os.path.basename(__file__))
print(os.path.basename(helper_tools.__file__), sys.path[0] == os.path.dirname(os.path.abspath(__file__)))
