"""The least that answers: an ASGI app, orjson, model.predict; `uvicorn bare:app` beside model.joblib."""

import joblib
import numpy as np
import orjson
import pandas as pd

model = joblib.load("model.joblib")
columns = getattr(model, "feature_names_in_", None)


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    rows = orjson.loads(body)["data"]
    given = np.array(rows) if columns is None else pd.DataFrame(rows, columns=columns)
    answer = orjson.dumps({"predictions": model.predict(given).tolist()})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
