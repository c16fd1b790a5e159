"""`python -m amlcore_service.proof FOLDER` in a Bento: writes `proof.json`, with the memory that a worker needs."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from ..errors import ModelFault
from ..packaged_model import PackagedModel
from ..paths import candidates
from ..predictor import Predictor
from .first_answer import first_answer
from .proof import make_proof


def main(folder: Path) -> None:
    import bentoml  # noqa: F401 - part of a worker's memory

    model = PackagedModel(folder)
    estimator = model.load_estimator(is_verified=True)
    sample = (model.sample or {}).get("rows") or []
    with_onnx = bool(model.settings.get("onnx"))
    paths = candidates(estimator, model.signature, with_onnx=with_onnx)  # noqa: F841 - part of a worker's memory
    predictor = Predictor(model, estimator)
    first = first_answer(model, predictor, estimator)
    memory_mb = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    report = {**make_proof(estimator, model.signature, sample, with_onnx=with_onnx), "memory_mb": memory_mb, **first}
    (folder / "proof.json").write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except ModelFault as fault:
        sys.exit(str(fault))
