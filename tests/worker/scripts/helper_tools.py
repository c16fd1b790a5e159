"""A helper module beside the script."""

import pandas as pd

DEFAULT = 3


class Scaler:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return x * self.factor


def frame(n):
    return pd.DataFrame({"a": range(n), "b": list("xyz")[:n]})
