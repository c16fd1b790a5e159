"""A service as BentoML's documentation writes it: `bentoml serve documented:Arrays`, or Frames, beside model.joblib."""

import bentoml
import joblib
import numpy as np
import pandas as pd


@bentoml.service(workers=1)
class Arrays:
    def __init__(self) -> None:
        self.model = joblib.load("model.joblib")

    @bentoml.api
    def predict(self, data: np.ndarray) -> np.ndarray:
        return self.model.predict(data)


@bentoml.service(workers=1)
class Frames:
    def __init__(self) -> None:
        self.model = joblib.load("model.joblib")

    @bentoml.api
    def predict(self, data: pd.DataFrame) -> np.ndarray:
        return self.model.predict(data)
