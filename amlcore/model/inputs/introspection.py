"""Facts: what a fitted model itself tells of its input, beside its sample."""

from __future__ import annotations

from typing import Any

RECORDS, LISTS, TEXTS = "records", "lists", "texts"
VECTORIZERS = ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer")


def attribute(model: Any, name: str) -> Any:
    # A property of an estimator that is not fitted, or delegates, raises more than AttributeError.
    try:
        return getattr(model, name, None)
    except Exception:
        return None


def names_of(model: Any) -> list[str] | None:
    """The names of the columns that it was trained on."""
    found = attribute(model, "feature_names_in_")
    if found is None and _library(model) == "catboost":
        found = attribute(model, "feature_names_")
        if found is not None and list(found) == [str(number) for number in range(len(found))]:
            return None  # its own, of an array
    if found is None:
        return None
    names = found.tolist() if hasattr(found, "tolist") else list(found)
    return names if names and all(isinstance(name, str) for name in names) else None


def width_of(model: Any) -> int | None:
    """How many columns it was trained on."""
    width = attribute(model, "n_features_in_")
    if not width and _library(model) == "catboost":  # which forgets it in a file
        width = len(attribute(model, "feature_names_") or ())
    return int(width) if width else None


def same_names(model: Any, names: list[str], sampled: list[str]) -> dict[str, str]:
    """Of a model whose library changes names: those of its data, by its own; nothing where they are not the same."""
    changed = {name.replace(" ", "_"): name for name in sampled}
    is_changed = _library(last(model)) == "lightgbm" and len(changed) == len(sampled)
    return {name: changed[name] for name in names if name in changed} if is_changed else {}


def last(model: Any) -> Any:
    """What answers: of a pipeline its last step, of a search its best model."""
    while True:
        best, steps = attribute(model, "best_estimator_"), attribute(model, "steps")
        if best is not None:
            model = best
        elif isinstance(steps, list) and steps:
            model = steps[-1][1]
        else:
            return model


def first(model: Any) -> Any:
    """What the rows are given to."""
    for _ in range(20):
        best, steps = attribute(model, "best_estimator_"), attribute(model, "steps")
        parts, inner = attribute(model, "transformer_list"), attribute(model, "estimator_")
        for name in ("estimators_", "calibrated_classifiers_"):
            inner = attribute(model, name) if inner is None else inner
        if best is not None:
            model = best
        elif isinstance(steps, list) and steps:
            real = [step for _, step in steps if step is not None and step != "passthrough" and not _is_empty(step)]
            model = real[0] if real else steps[-1][1]
        elif isinstance(parts, list) and parts:
            model = parts[0][1]
        elif type(model).__name__ in VECTORIZERS or attribute(model, "n_features_in_") is not None:
            return model
        elif isinstance(inner, list) and inner:
            model = attribute(inner[0], "estimator") or inner[0]
        elif inner is not None and hasattr(inner, "get_params"):
            model = inner
        else:
            return model
    return model


def _is_empty(step: Any) -> bool:
    return type(step).__name__ == "FunctionTransformer" and step.func is None


def form_of(model: Any) -> str | None:
    """The form of rows that have no columns; None where they may have."""
    step = first(model)
    if not type(step).__module__.startswith("sklearn.feature_extraction"):
        return None
    name = type(step).__name__
    if name == "DictVectorizer" or (name == "FeatureHasher" and step.input_type == "dict"):
        return RECORDS
    if name == "FeatureHasher":
        return LISTS
    return TEXTS if name in VECTORIZERS else None


def _library(model: Any) -> str:
    return type(model).__module__.partition(".")[0]


def known_columns(model: Any, width: int | None) -> dict[int, dict[str, Any]]:
    """Of each column that goes to an encoder, the types of the categories that it knows, as in a sample's details."""
    found: dict[int, dict[str, Any]] = {}
    if width is not None:
        _walk(model, list(range(width)), [], found)
    return found


def _walk(step: Any, positions: list[int], names: list[str], found: dict[int, dict[str, Any]]) -> bool:
    """Note what `step` knows of the columns at `positions`; whether the next step gets the same columns."""
    if step is None or isinstance(step, str) or _is_empty(step):
        return True
    names = names_of(step) or names
    best, steps = attribute(step, "best_estimator_"), attribute(step, "steps")
    if best is not None:
        return _walk(best, positions, names, found)
    if isinstance(steps, list):
        return all(_walk(inner, positions, names, found) for _, inner in steps)
    if isinstance(attribute(step, "transformer_list"), list):
        for _, inner in step.transformer_list:
            _walk(inner, positions, names, found)
        return False
    if isinstance(attribute(step, "transformers_"), list):
        for _, inner, chosen in step.transformers_:
            _walk(inner, _positions(chosen, positions, names), [], found)
        return False
    categories = attribute(step, "categories_")
    if isinstance(categories, list) and len(categories) == len(positions):
        for position, known in zip(positions, categories):
            detail = _types_of(known)
            if detail is not None:
                found.setdefault(position, detail)
        return False
    statistics = attribute(step, "statistics_")
    return statistics is not None and len(statistics) == len(positions) and not attribute(step, "add_indicator")


def _positions(chosen: Any, positions: list[int], names: list[str]) -> list[int]:
    try:
        if isinstance(chosen, str):
            return [positions[names.index(chosen)]]
        if isinstance(chosen, slice):
            if isinstance(chosen.start, str) or isinstance(chosen.stop, str):
                return []
            return positions[chosen]
        chosen = list(chosen) if hasattr(chosen, "__iter__") else [chosen]
        if chosen and all(isinstance(one, bool) or type(one).__name__ in ("bool_", "bool") for one in chosen):
            return [position for position, is_chosen in zip(positions, chosen) if is_chosen]
        return [positions[names.index(one)] if isinstance(one, str) else positions[int(one)] for one in chosen]
    except (ValueError, IndexError, TypeError):
        return []


def _types_of(categories: Any) -> dict[str, Any] | None:
    kind = getattr(getattr(categories, "dtype", None), "kind", None)
    if kind in ("i", "u"):
        return {"types": ["int"], "missing": []}
    values = list(categories) if kind in ("O", "U", "T") else []
    missing = {"None" if one is None else "nan" for one in values if one is None or one != one}  # noqa: PLR0124
    given = [one for one in values if one is not None and one == one]  # noqa: PLR0124
    types = {next((kind.__name__ for kind in (bool, int, float, str) if isinstance(one, kind)), "") for one in given}
    if not types or "" in types:
        return None
    return {"types": sorted(types), "missing": sorted(missing), "is_object": kind == "O" and types != {"str"}}
