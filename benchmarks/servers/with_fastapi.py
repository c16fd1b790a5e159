"""What one writes with FastAPI: `uvicorn with_fastapi:app` beside model.joblib."""

from typing import Any

import joblib
import numpy as np
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

model = joblib.load("model.joblib")
columns = getattr(model, "feature_names_in_", None)
app = FastAPI()


class Rows(BaseModel):
    data: list[list[Any]]


@app.post("/predict")
def predict(rows: Rows) -> dict[str, Any]:
    given = np.array(rows.data) if columns is None else pd.DataFrame(rows.data, columns=columns)
    return {"predictions": model.predict(given).tolist()}
