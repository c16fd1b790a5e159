"""The model of a Bento: checked, loaded, and asked."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

from .http.request import PredictRequest, read, read_quickly
from .http.response import KEYS, Writer, plain
from .rows.explain import score_or_explain
from .rows.rows import NotHandled, RequestError, Signature, quoted

log = logging.getLogger("bentoml.serve")

MOST_FAILURES = 3
"""A faster path that has raised so often is not asked any more."""


class ModelFault(Exception):  # noqa: N818 - the message is all that is read
    """A model that must not be served as it is."""


class PackagedModel:
    """What a Bento says of its model: `model.json` as it was registered, `service.json` as it was packaged."""

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
        """As a request has them."""
        self.all_methods = [name for name in KEYS if name in self.about["methods"]]
        """Those that a request may ask for."""
        own_routes = [name for name in ("predict", "predict_proba") if name in self.all_methods]
        self.methods = own_routes if "predict" in own_routes else ["transform"]
        """Those with a route of their own: a transformer has only the one."""
        azure = self.settings.get("azure_default") and "predict_proba" in self.methods
        self.default_method = "predict_proba" if azure else self.methods[0]
        proof = folder / "proof.json"
        self.proof: dict[str, Any] = json.loads(proof.read_text("utf-8")) if proof.is_file() else {}

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
        """The model behind its methods."""
        return Predictor(self, self.load_estimator())

    def _read(self, path: Path) -> Any:
        if path.suffix == ".skops":
            import skops.io

            return skops.io.load(path, trusted=self.settings["trusted_types"])
        import joblib

        return joblib.load(path)

    def load_estimator(self) -> Any:
        """The model itself; its files are checked first, since unpickling runs code."""
        self.check()
        import sklearn.exceptions

        code = str(self.folder / "code")
        if code not in sys.path:
            sys.path.insert(0, code)
        with warnings.catch_warnings():
            # scikit-learn before 1.3 has no class of its own for this warning
            warnings.simplefilter("error", getattr(sklearn.exceptions, "InconsistentVersionWarning", UserWarning))
            try:
                estimator = self._read(self.folder / "files" / self.about["path"])
            except Exception as error:
                what = f"{type(error).__name__}: {error}"
                raise ModelFault(f"{self.name}:{self.version} cannot be loaded: {what}") from error
        for method in self.methods:
            if not hasattr(estimator, method):
                raise ModelFault(f"{self.name}:{self.version} has no {method}, though its model.json says so")
        return estimator


class Predictor:
    """Answers requests, as a status and a body, and raises on none of them."""

    def __init__(self, model: PackagedModel, estimator: Any) -> None:
        # it loads numpy and scipy, which the supervisor, that only checks the model's files, has no use for
        from .inputs.reference_model import ReferenceModel
        from .proof.fast_paths import load_fast_paths

        self._signature = model.signature
        self._reference = ReferenceModel(estimator, model.signature)
        self._methods = model.all_methods
        self._general = model.methods[0]
        self._defaults = {**{name: name for name in model.methods}, self._general: model.default_method}
        classes = getattr(estimator, "classes_", None)
        self._writer = Writer(
            model.name, model.version, plain(classes) if classes is not None else model.about.get("classes")
        )
        sample = (model.sample or {}).get("rows") or []
        self._failures = 0
        self._fast_paths = load_fast_paths(estimator, model.signature, sample, model.proof)

    def answer(self, method: str, body: bytes) -> tuple[int, bytes]:
        """The answer of the route of `method`; the first route answers other methods too, if the body asks for one."""
        try:
            return 200, self._answer(method, body)
        except RequestError as error:
            return error.status, json.dumps(error.to_json()).encode()
        except Exception:
            log.exception("%s failed", method)
            fault = RequestError(f"{method} failed; the service's log says why")
            return 500, json.dumps(fault.to_json()).encode()

    def _answer(self, route: str, body: bytes) -> bytes:
        request = read_quickly(body) or read(body)
        method = self._defaults[route] if request.method is None else self._asked(route, request.method)
        return self._writer.write(method, self._result(method, request))

    def _result(self, method: str, request: PredictRequest) -> Any:
        """What the model's `method` returns: by a faster path for what is right at first sight."""
        if self._fast_paths is not None:
            try:
                return self._fast_paths.score(method, request.data, is_numeric=request.is_numeric)
            except NotHandled:
                pass
            except Exception:
                self._count_failure()
        return score_or_explain(self._reference, method, self._signature.read(request.data))

    def _count_failure(self) -> None:
        """A path that raises now and then is passed over, one that goes on with it is switched off."""
        self._failures += 1
        if self._failures < MOST_FAILURES:
            log.warning("a faster path failed, the model answers by itself", exc_info=True)
            return
        self._fast_paths = None
        log.warning("a faster path failed %d times: it is switched off", self._failures, exc_info=True)

    def _asked(self, route: str, method: str) -> str:
        if method not in self._methods:
            raise RequestError(f"method is {quoted(method)}; legal: {', '.join(self._methods)}", status=400)
        if route not in (self._general, method):
            raise RequestError(f"/{route} does not answer {quoted(method)}: send it to /{self._general}", status=400)
        return method


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
