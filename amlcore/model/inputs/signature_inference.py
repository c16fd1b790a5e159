"""The signature of a model, inferred from the model and its sample in the interpreter that trained it."""

from __future__ import annotations

import json
import sys
from typing import Any

from .errors import InputError
from .introspection import attribute, first_step, form_of, names_of, same_names, width_of
from .known_columns import KnownColumns, known_columns, own_code
from .reference_model import Miscounted, ReferenceModel
from .signature import FLAT, Signature

SHOWN = 5
"""How many columns a warning names."""

UNTYPED = ("columns", "labels", "dtypes", "details")


def infer_signature(model: Any, sample: dict[str, Any] | None) -> dict[str, Any]:
    """What registration records about a model's input.

    Returns
    -------
    dict
        `signature`; `sample`, with the columns that the model takes; `sample_error`, why the model refuses it, or None;
        `warnings`, about what neither the model nor the sample shows.
    """
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
    model_columns = known_columns(model, width or (len(names) if names else None))
    model_columns.confirm(sample)
    if sample is None:
        form = form_of(model) or ("frame" if names else "array" if width is not None else None)
        signature = _signature(form, names, width, {}, model_columns)
        if aliases:
            signature["aliases"] = aliases
        inferred = _inferred(signature, None, None, model_columns)
        if width is None and not names and form is None:
            inferred["warnings"] += _unknown_columns(model)
        return inferred
    sample = _with_texts(sample, model_columns.details)
    refusals = []
    for form in _forms(model, names, sample):
        signature = _signature(form, names, width, sample, model_columns)
        refusal = _refusal(model, signature, sample)
        if refusal is None:
            return _inferred(signature, sample, None, model_columns)
        refusals.append((signature, refusal))
    return _inferred(refusals[0][0], sample, refusals[0][1], model_columns)


def _inferred(
    signature: dict[str, Any], sample: dict[str, Any] | None, sample_error: str | None, model_columns: KnownColumns
) -> dict[str, Any]:
    if model_columns.lost_categories and "category" not in ((sample or {}).get("dtypes") or ()):
        signature = {**signature, "lost_categories": _labels(signature, list(model_columns.lost_categories))}
    return {
        "signature": signature,
        "sample": None if sample is None else _shown(sample),
        "sample_error": sample_error,
        "warnings": [*_lost(signature), *([] if sample is not None else _unknown_types(signature, model_columns))],
    }


def _lost(signature: dict[str, Any]) -> list[str]:
    if "lost_categories" not in signature:
        return []
    columns = ", ".join(map(repr, signature["lost_categories"]))
    return [
        f"the model was trained on pandas categories in {columns} and its library did not keep them, so it cannot be "
        "served: call run.log_sample(X) in the script"
    ]


def _unknown_types(signature: dict[str, Any], model_columns: KnownColumns) -> list[str]:
    """A warning about columns of unknown type that the user's own code reads."""
    labels = _labels(signature, list(model_columns.code))
    if not labels or not signature.get("columns"):  # an array has one dtype, usually a numeric one
        return []
    code = " and ".join(sorted(set(model_columns.code.values())))
    more = f" and {len(labels) - SHOWN} more" if len(labels) > SHOWN else ""
    return [
        f"no sample was logged, and {code} reads the columns {', '.join(map(repr, labels[:SHOWN]))}{more} whose types "
        "the model does not keep: the service passes numbers and texts as they are sent, which may not be what "
        "training had (dates, codes such as '007', categories); call run.log_sample(X) in the script"
    ]


def _unknown_columns(model: Any) -> list[str]:
    """A warning about user code that reads the rows first, if nothing shows which columns they have."""
    code = own_code(first_step(model))
    if code is None or not (hasattr(model, "predict") or hasattr(model, "transform")):  # that is said elsewhere
        return []
    return [
        f"no sample was logged, and {code} keeps neither the names nor the number of the columns that it reads: the "
        "service passes rows as arrays, which may not be what training had; call run.log_sample(X) in the script"
    ]


def _labels(signature: dict[str, Any], places: list[int]) -> list[str | int]:
    names = signature.get("columns")
    return [names[place] if names else place for place in sorted(places)]


def _forms(model: Any, names: list[str] | None, sample: dict[str, Any]) -> list[str]:
    """The forms that the sample may have, the likeliest first."""
    own = form_of(model)
    form = sample.get("form") or ("frame" if sample["columns"] else "array")
    is_column = len(sample["rows"][0]) == 1 and not any(isinstance(row[0], list) for row in sample["rows"])
    forms = [
        *([own] if own in ("records", "lists") else []),
        *(["array"] if form == "frame" and not names and _keeps_names(model, sample) else []),
        *([form] if not names or form in ("frame", "series") else []),
        *(["frame"] if names or (sample["columns"] and form != "records") else []),
        *(["texts"] if is_column and own == "texts" else []),
        *(["array"] if form not in ("texts", "series") else []),
        *([form] if names else []),
    ]
    if "records" in forms and not sample.get("records"):
        forms.remove("records")
    return list(dict.fromkeys("array" if form == "list" else form for form in forms))


def _keeps_names(model: Any, sample: dict[str, Any]) -> bool:
    """Whether the model would have kept the names of such a frame if it had been trained on one."""
    if attribute(model, "n_features_in_") is None or sample.get("labels"):
        return False
    version = getattr(sys.modules.get("sklearn"), "__version__", "0").split(".")
    return int(version[0]) >= 1


def _signature(
    form: str | None, names: list[str] | None, width: int | None, sample: dict[str, Any], model_columns: KnownColumns
) -> dict[str, Any]:
    sampled = len(sample["rows"][0]) if sample else None
    is_typed = bool(sample) and (width is None or width == sampled or form in FLAT)
    if form in ("records", "lists"):
        return {"n_features": None, "columns": None, "dtypes": None, "form": form}
    columns = names or (sample["columns"] if is_typed else None)
    width = width if width is not None else sampled if sample else None
    dtypes = sample["dtypes"] if is_typed else None
    details = sample.get("details") if is_typed and dtypes is not None else None
    if model_columns.details and width is not None and form not in FLAT:
        dtypes, details = _completed(dtypes, details, model_columns.details, width)
    signature = {"n_features": width, "columns": columns, "dtypes": dtypes, "form": form}
    if details and any(details):
        signature["details"] = details
    if columns and sample.get("labels"):
        signature["labels"] = sample["labels"]
    return signature


def _completed(
    dtypes: list[str] | None, details: list[Any] | None, fitted: dict[int, dict[str, Any]], width: int
) -> tuple[list[str | None] | None, list[Any]]:
    """The types of the sample's columns; where the sample leaves one open, what the model knows of it."""
    pairs = [
        _merged(dtypes[place] if dtypes else None, details[place] if details else None, fitted.get(place) or {})
        for place in range(width)
    ]
    typed = [dtype for dtype, _ in pairs]
    return (typed if any(typed) else None), [detail for _, detail in pairs]


def _merged(dtype: str | None, logged: Any, fitted: dict[str, Any]) -> tuple[str | None, Any]:
    if "categories" in fitted:  # if the script makes the categories itself, the sample has other dtypes
        return ("category", logged if dtype == "category" and logged else fitted)
    if dtype not in (None, "object"):
        return dtype, logged
    if logged:
        return dtype, {**logged, "missing": logged.get("missing") or fitted.get("missing") or []}
    return ("object" if dtype or fitted.get("is_object") else None), fitted or None


def _refusal(model: Any, signature: dict[str, Any], sample: dict[str, Any]) -> str | None:
    """Why the model refuses the sample in the form that a service would pass it; None if it does not."""
    method = next((name for name in ("predict", "transform") if attribute(model, name) is not None), None)
    if method is None:
        return None
    reference = ReferenceModel(model, Signature(signature, sample), checks_dates=False)
    rows = sample["records"] if signature["form"] == "records" else sample["rows"]
    try:
        for data in (rows, [*rows, rows[0]]):  # a model that takes rows for columns would accept only one of these
            reference.answer(method, data)
    except (InputError, Miscounted) as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: " + str(error).strip().partition("\n")[0]
    return None


def selected(sample: dict[str, Any], columns: list[str] | None) -> dict[str, Any]:
    """The sample with the model's columns, in their order; unchanged if it lacks one of them."""
    names, rows = sample["columns"], sample["rows"]
    if columns and names is None and len(rows[0]) == len(columns):
        return {**sample, "columns": columns}
    if not columns or not names or not set(columns) <= set(names) or len(set(names)) != len(names):
        return sample
    picked = [names.index(column) for column in columns]
    parts = {key: [sample[key][place] for place in picked] for key in UNTYPED if sample.get(key)}
    texts = {"texts": [[row[place] for place in picked] for row in sample["texts"]]} if sample.get("texts") else {}
    return {**sample, **parts, **texts, "columns": columns, "rows": [[row[place] for place in picked] for row in rows]}


def _with_texts(sample: dict[str, Any], details: dict[int, Any]) -> dict[str, Any]:
    """A sample from a CSV, which keeps no types, with text in the columns that the model knows as text."""
    if not sample.get("texts"):
        return sample
    places = {place for place, detail in details.items() if _is_text(detail)}
    pairs = zip(sample["rows"], sample["texts"])
    rows = [[(text or None) if at in places else row[at] for at, text in enumerate(texts)] for row, texts in pairs]
    dtypes = ["object" if at in places else dtype for at, dtype in enumerate(sample["dtypes"] or [])]
    return {**sample, "rows": rows, "dtypes": dtypes or None}


def _is_text(detail: dict[str, Any]) -> bool:
    categories = detail.get("categories") or []
    return detail.get("types") == ["str"] or bool(categories and isinstance(categories[0], str))


def _shown(sample: dict[str, Any]) -> dict[str, Any]:
    """The part of a sample that is recorded besides the signature."""
    kept = {key: sample[key] for key in ("columns", "dtypes", "rows")}
    if sample.get("records"):
        kept["records"] = sample["records"]
    return json.loads(json.dumps(kept))  # type: ignore[no-any-return]
