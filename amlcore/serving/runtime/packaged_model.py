"""PackagedModel: the model of a Bento, its records read, its files verified and loaded."""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

from .errors import ModelFault
from .http.response import ANSWER_KEYS
from .inputs.signature import Signature


class PackagedModel:
    """A Bento's records of its model: `model.json` from registration, `service.json` from packaging."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "model"
        self.settings: dict[str, Any] = json.loads((folder / "service.json").read_text("utf-8"))
        self.about: dict[str, Any] = json.loads((self.folder / "model.json").read_text("utf-8"))
        self.name: str = self.about["name"]
        self.version: int = self.about["version"]
        self.sample: dict[str, Any] | None = self.about.get("sample")
        self.signature = Signature(self.about.get("signature") or {}, self.sample)
        self.sample_rows: list[Any] = (self.sample or {}).get(
            "records" if self.signature.form == "records" else "rows"
        ) or []
        """In the form that a request has."""
        self.all_methods = [name for name in ANSWER_KEYS if name in self.about["methods"]]
        """The methods that a request may ask for."""
        own_routes = [name for name in ("predict", "predict_proba") if name in self.all_methods]
        self.methods = own_routes if "predict" in own_routes else ["transform"]
        """The methods with a route of their own; a transformer has one."""
        azure = self.settings.get("azure_default") and "predict_proba" in self.methods
        self.default_method = "predict_proba" if azure else self.methods[0]
        proof = folder / "proof.json"
        self.proof: dict[str, Any] = json.loads(proof.read_text("utf-8")) if proof.is_file() else {}

    def check(self) -> None:
        """Raise ModelFault if this interpreter could answer wrongly, or a file is not the one that was registered."""
        self._check_library()
        self._check_files()

    def _check_files(self) -> None:
        hashes = {f"files/{file['path']}": file["sha256"] for file in self.about["files"]}
        code = {f"code/{path}": sha256 for path, sha256 in self.about["code_sha256"].items()}
        for path, sha256 in {**hashes, **code}.items():
            self._check_file(path, sha256)

    def _check_library(self) -> None:
        trained, serving = self.settings["scikit_learn"], _installed("scikit-learn")
        if trained is not None and serving != trained:
            installed = f"scikit-learn {serving}" if serving else "no scikit-learn"
            raise ModelFault(
                f"{self.name}:{self.version} was trained with scikit-learn {trained}, but this Python has {installed}, "
                f"so its answers could be wrong. Serve it in its own environment: aml serve {self.settings['name']}"
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

    def _read(self, path: Path) -> Any:
        if path.name == "MLmodel":
            from mlflow import pyfunc

            return pyfunc.load_model(str(path.parent))
        if path.suffix == ".skops":
            import skops.io

            return skops.io.load(path, trusted=self.settings["trusted_types"])
        import joblib

        return joblib.load(path)

    def load_estimator(self, *, is_verified: bool = False) -> Any:
        """The estimator; its files are verified first, since unpickling runs code.

        `is_verified`: packaging has just hashed them.
        """
        self._check_library()
        if not is_verified:
            self._check_files()
        import sklearn.exceptions

        code = str(self.folder / "code")
        if code not in sys.path:
            sys.path.insert(0, code)
        with warnings.catch_warnings():
            # scikit-learn before 1.3 warns with a UserWarning
            warnings.simplefilter("error", getattr(sklearn.exceptions, "InconsistentVersionWarning", UserWarning))
            try:
                estimator = self._read(self.folder / "files" / self.about["path"])
            except Exception as error:
                message = f"{type(error).__name__}: {error}"
                raise ModelFault(f"{self.name}:{self.version} cannot be loaded: {message}") from error
        for method in self.methods:
            if not hasattr(estimator, method):
                raise ModelFault(f"{self.name}:{self.version} has no {method}, but its model.json lists it")
        return estimator


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
