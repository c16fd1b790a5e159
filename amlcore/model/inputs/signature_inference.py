"""Learning: the signature of a model, from itself and from its sample, tried in the interpreter that trained it."""

from __future__ import annotations

import json
import sys
from typing import Any

from .errors import RequestError
from .introspection import attribute, form_of, known_columns, names_of, same_names, width_of
from .reference_model import Miscounted, ReferenceModel
from .signature import FLAT, Signature

UNTYPED = ("columns", "labels", "dtypes", "details")


def infer_signature(model: Any, sample: dict[str, Any] | None) -> dict[str, Any]:
    """The `signature` of a model, its `sample` with the columns that it takes, and why it refuses that, if it does."""
    names = names_of(model)
    width = width_of(model)
    aliases = {}
    if sample is not None:
        renamed = same_names(model, names or [], sample["columns"] or [])
        if names and len(renamed) == len(names):
            names = [renamed[name] for name in names]
        sample = selected(sample, names)
    elif names:
        aliases = {
            name.replace("_", " "): name for name in names if same_names(model, [name], [name.replace("_", " ")])
        }
    known = known_columns(model, width or (len(names) if names else None))
    if sample is None:
        form = form_of(model) or ("frame" if names else "array" if width is not None else None)
        signature = _signature(form, names, width, {}, known)
        return {
            "signature": {**signature, **({"aliases": aliases} if aliases else {})},
            "sample": None,
            "sample_error": None,
        }
    sample = _with_texts(sample, known)
    first_error: tuple[dict[str, Any], str] | None = None
    for form in _forms(model, names, sample):
        signature = _signature(form, names, width, sample, known)
        error = _refusal(model, signature, sample)
        if error is None:
            return {"signature": signature, "sample": _shown(sample), "sample_error": None}
        first_error = first_error or (signature, error)
    assert first_error is not None
    return {"signature": first_error[0], "sample": _shown(sample), "sample_error": first_error[1]}


def _forms(model: Any, names: list[str] | None, sample: dict[str, Any]) -> list[str]:
    """The forms that the sample may have been meant in, the likeliest first."""
    own = form_of(model)
    given = sample.get("form") or ("frame" if sample["columns"] else "array")
    is_column = len(sample["rows"][0]) == 1 and not any(isinstance(row[0], list) for row in sample["rows"])
    forms = [
        *([own] if own in ("records", "lists") else []),
        *(["array"] if given == "frame" and not names and _keeps_names(model, sample) else []),
        *([given] if not names or given in ("frame", "series") else []),
        *(["frame"] if names or (sample["columns"] and given != "records") else []),
        *(["texts"] if is_column and own == "texts" else []),
        *(["array"] if given not in ("texts", "series") else []),
        *([given] if names else []),
    ]
    if "records" in forms and not sample.get("records"):
        forms.remove("records")
    return list(dict.fromkeys("array" if form == "list" else form for form in forms))


def _keeps_names(model: Any, sample: dict[str, Any]) -> bool:
    """Whether the model would know the names of this frame, had it been trained on one like it."""
    if attribute(model, "n_features_in_") is None or sample.get("labels"):
        return False
    version = getattr(sys.modules.get("sklearn"), "__version__", "0").split(".")
    return int(version[0]) >= 1


def _signature(
    form: str | None, names: list[str] | None, width: int | None, sample: dict[str, Any], known: dict[int, Any]
) -> dict[str, Any]:
    sampled = len(sample["rows"][0]) if sample else None
    is_typed = bool(sample) and (width is None or width == sampled or form in FLAT)
    if form in ("records", "lists"):
        return {"n_features": None, "columns": None, "dtypes": None, "form": form}
    columns = names or (sample["columns"] if is_typed else None)
    width = width if width is not None else sampled if sample else None
    dtypes = sample["dtypes"] if is_typed else None
    details = sample.get("details") if is_typed and dtypes is not None else None
    if details is None and known and width is not None:
        details = [known.get(position) for position in range(width)]
        if dtypes is None and any((detail or {}).get("is_object") for detail in details):
            dtypes = ["object" if (detail or {}).get("is_object") else None for detail in details]
        if dtypes is not None:
            are_objects = [dtype == "object" for dtype in dtypes]
            details = [detail if is_object else None for detail, is_object in zip(details, are_objects)]
    found = {"n_features": width, "columns": columns, "dtypes": dtypes, "form": form}
    if details and any(details):
        found["details"] = details
    if columns and sample.get("labels"):
        found["labels"] = sample["labels"]
    return found


def _refusal(model: Any, signature: dict[str, Any], sample: dict[str, Any]) -> str | None:
    """Why the model refuses the sample as the service gives it; None where it takes it."""
    method = next((name for name in ("predict", "transform") if attribute(model, name) is not None), None)
    if method is None:
        return None
    reference = ReferenceModel(model, Signature(signature, sample))
    rows = sample["records"] if signature["form"] == "records" else sample["rows"]
    try:
        for data in (rows, [*rows, rows[0]]):  # a model that counts columns would be right about one of them
            reference.answer(method, data)
    except (RequestError, Miscounted) as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: " + str(error).strip().partition("\n")[0]
    return None


def selected(sample: dict[str, Any], columns: list[str] | None) -> dict[str, Any]:
    """The sample with the columns of the model, in its order, where it has them all or none of it is named."""
    names, rows = sample["columns"], sample["rows"]
    if columns and names is None and len(rows[0]) == len(columns):
        return {**sample, "columns": columns}
    if not columns or not names or not set(columns) <= set(names) or len(set(names)) != len(names):
        return sample
    picked = [names.index(column) for column in columns]
    parts = {key: [sample[key][place] for place in picked] for key in UNTYPED if sample.get(key)}
    texts = {"texts": [[row[place] for place in picked] for row in sample["texts"]]} if sample.get("texts") else {}
    return {**sample, **parts, **texts, "columns": columns, "rows": [[row[place] for place in picked] for row in rows]}


def _with_texts(sample: dict[str, Any], known: dict[int, Any]) -> dict[str, Any]:
    """A sample of a CSV, which keeps no types, with the text of what the model knows as text."""
    if not sample.get("texts"):
        return sample
    places = {place for place, detail in known.items() if detail["types"] == ["str"]}
    pairs = zip(sample["rows"], sample["texts"])
    rows = [[(text or None) if at in places else row[at] for at, text in enumerate(texts)] for row, texts in pairs]
    dtypes = ["object" if at in places else dtype for at, dtype in enumerate(sample["dtypes"] or [])]
    return {**sample, "rows": rows, "dtypes": dtypes or None}


def _shown(sample: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a sample beside the signature."""
    kept = {key: sample[key] for key in ("columns", "dtypes", "rows")}
    if sample.get("records"):
        kept["records"] = sample["records"]
    return json.loads(json.dumps(kept))  # type: ignore[no-any-return]
