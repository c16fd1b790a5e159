"""The model of a Bento: checked, loaded, and asked."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import sys
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

from .rows import InputError, Signature

log = logging.getLogger("bentoml.serve")

REFUSALS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)
"""What a model raises on rows that it was not made for; anything else is a fault of the service."""


class ModelFault(Exception):  # noqa: N818 - the message is all that is read
    """A model that must not be served as it is."""


class Model:
    """What a Bento says of its model: `model.json` as it was registered, `service.json` as it was packaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "model"
        self.settings: dict[str, Any] = json.loads((folder / "service.json").read_text("utf-8"))
        self.about: dict[str, Any] = json.loads((self.folder / "model.json").read_text("utf-8"))
        self.name: str = self.about["name"]
        self.version: int = self.about["version"]
        self.sample: dict[str, Any] | None = self.about.get("sample")
        self.signature = Signature(self.about.get("signature") or {}, self.sample)
        self.methods = [name for name in ("predict", "predict_proba") if name in self.about["methods"]]

    def check(self) -> None:
        """Raises ModelFault where this interpreter would answer wrongly, or the files are not those registered."""
        self._check_library()
        hashes = {f"files/{file['path']}": file["sha256"] for file in self.about["files"]}
        code = {f"code/{path}": sha256 for path, sha256 in self.about["code_sha256"].items()}
        for path, sha256 in {**hashes, **code}.items():
            self._check_file(path, sha256)

    def _check_library(self) -> None:
        trained, serving = self.settings["scikit_learn"], _installed("scikit-learn")
        if trained is not None and serving != trained:
            has = f"scikit-learn {serving}" if serving else "no scikit-learn"
            raise ModelFault(
                f"{self.name}:{self.version} was trained with scikit-learn {trained} and this Python has {has}, so its "
                f"answers could be wrong. `aml serve {self.settings['name']}` serves it in its own environment."
            )

    def _check_file(self, path: str, sha256: str) -> None:
        try:
            actual = _sha256(self.folder / path)
        except OSError as error:
            raise ModelFault(f"{self.name}:{self.version}: {path} cannot be read: {error.strerror}") from None
        if actual != sha256:
            raise ModelFault(
                f"{self.name}:{self.version}: {path} is not the file that was registered: its sha256 is {actual}, "
                f"not {sha256}. It was not loaded; package the model again."
            )

    def load(self) -> Predictor:
        """The model behind its methods; the files are checked first, since unpickling runs code."""
        self.check()
        import joblib
        import sklearn.exceptions

        code = str(self.folder / "code")
        if code not in sys.path:
            sys.path.insert(0, code)
        with warnings.catch_warnings():
            # scikit-learn before 1.3 has no class of its own for this warning
            warnings.simplefilter("error", getattr(sklearn.exceptions, "InconsistentVersionWarning", UserWarning))
            try:
                estimator = joblib.load(self.folder / "files" / self.about["path"])
            except Exception as error:
                what = f"{type(error).__name__}: {error}"
                raise ModelFault(f"{self.name}:{self.version} cannot be loaded: {what}") from error
        for method in self.methods:
            if not hasattr(estimator, method):
                raise ModelFault(f"{self.name}:{self.version} has no {method}, though its model.json says so")
        return Predictor(self, estimator)


class Predictor:
    """Answers requests, as a status and a body, and raises on none of them."""

    def __init__(self, model: Model, estimator: Any) -> None:
        self._signature = model.signature
        self._estimator = estimator
        self._stamp = {"model": model.name, "version": model.version}
        classes = getattr(estimator, "classes_", None)
        self._classes = plain(classes) if classes is not None else model.about.get("classes")

    def answer(self, method: str, body: bytes) -> tuple[int, bytes]:
        try:
            status, value = 200, self._ask(method, body)
        except InputError as error:
            status, value = error.status, error.to_json()
        except Exception:
            log.exception("%s failed", method)
            fault = InputError(f"{method} failed; the service's log says why")
            status, value = 500, fault.to_json()
        return status, json.dumps(value, allow_nan=False).encode()

    def _ask(self, method: str, body: bytes) -> dict[str, Any]:
        from .rows import data_of

        rows = self._signature.read(data_of(body))
        try:
            result = getattr(self._estimator, method)(self._signature.to_input(rows))
        except InputError:
            raise
        except REFUSALS as error:
            raise self._refusal(error, rows) from error
        if method == "predict":
            return {"predictions": plain(result), **self._stamp}
        return {"probabilities": _by_row(result), "classes": self._classes, **self._stamp}

    def _refusal(self, error: Exception, rows: list[list[Any]]) -> InputError:
        """The model's own words, and the first missing value if there is one, since that is the common cause."""
        said = next(iter(str(error).splitlines()), "") or type(error).__name__
        for number, row in enumerate(rows):
            if None in row:
                label = self._signature.columns(len(row))[row.index(None)].label
                where = f"row {number}, column {label!r} is null"
                return InputError(f"the model refuses these rows: {said} ({where})", row=number, column=label)
        return InputError(f"the model refuses these rows: {said}")


def plain(result: Any) -> Any:
    """What a model answers as JSON values; NaN and infinities, which JSON lacks, become null."""
    import numpy as np

    if isinstance(result, (list, tuple)):
        return [plain(item) for item in result]
    if hasattr(result, "toarray"):  # a sparse matrix, as of multilabel classifiers
        result = result.toarray()
    array = np.asarray(result)
    if array.dtype.kind in "mM":
        return array.astype(str).tolist()
    if array.dtype.kind == "O":
        return _plain_objects(array.tolist())
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        array = np.where(np.isfinite(array), array.astype(object), np.array(None))
    return array.tolist()


def _plain_objects(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain_objects(item) for item in value]
    if hasattr(value, "item"):  # a numpy scalar
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (str, int, float)) else str(value)


def _by_row(result: Any) -> Any:
    """Probabilities with the row first; a model of several outputs gives one array an output."""
    if not isinstance(result, list):
        return plain(result)
    outputs = plain(result)
    return [[output[row] for output in outputs] for row in range(len(outputs[0]))]


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
