"""What a fitted model itself tells of its input, beside its sample."""

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
    kept = attribute(model, "feature_names_in_")
    if kept is None:  # as of a pipeline whose first step is "passthrough"
        kept = attribute(first_step(model), "feature_names_in_")
    if kept is None and library_of(model) == "catboost":
        kept = attribute(model, "feature_names_")
        if kept is not None and list(kept) == [str(number) for number in range(len(kept))]:
            return None  # its own, of an array
    if kept is None:
        return None
    names = kept.tolist() if hasattr(kept, "tolist") else list(kept)
    return names if names and all(isinstance(name, str) for name in names) else None


def width_of(model: Any) -> int | None:
    """How many columns it was trained on."""
    width = attribute(model, "n_features_in_") or attribute(first_step(model), "n_features_in_")
    if not width and library_of(model) == "catboost":  # which forgets it in a file
        width = len(attribute(model, "feature_names_") or ())
    return int(width) if width else None


def same_names(model: Any, names: list[str], sampled: list[str]) -> dict[str, str]:
    """Of a model whose library changes names: those of its data, by its own; nothing where they are not the same."""
    changed = {name.replace(" ", "_"): name for name in sampled}
    is_changed = library_of(last_step(model)) == "lightgbm" and len(changed) == len(sampled)
    return {name: changed[name] for name in names if name in changed} if is_changed else {}


def last_step(model: Any) -> Any:
    """What answers: of a pipeline its last step, of a search its best model."""
    while True:
        best, steps = attribute(model, "best_estimator_"), attribute(model, "steps")
        if best is not None:
            model = best
        elif isinstance(steps, list) and steps:
            model = steps[-1][1]
        else:
            return model


def first_step(model: Any) -> Any:
    """What the rows are given to."""
    for _ in range(20):
        best, steps = attribute(model, "best_estimator_"), attribute(model, "steps")
        parts, inner = attribute(model, "transformer_list"), attribute(model, "estimator_")
        for name in ("estimators_", "calibrated_classifiers_"):
            inner = attribute(model, name) if inner is None else inner
        if best is not None:
            model = best
        elif isinstance(steps, list) and steps:
            real = [
                step for _, step in steps if step is not None and step != "passthrough" and not is_passthrough(step)
            ]
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


def is_passthrough(step: Any) -> bool:
    """Whether a step of a pipeline hands its columns on as they are."""
    return step is None or step == "passthrough" or (type(step).__name__ == "FunctionTransformer" and step.func is None)


def form_of(model: Any) -> str | None:
    """The form of rows that have no columns; None where they may have."""
    step = first_step(model)
    if not type(step).__module__.startswith("sklearn.feature_extraction"):
        return None
    name = type(step).__name__
    if name == "DictVectorizer" or (name == "FeatureHasher" and step.input_type == "dict"):
        return RECORDS
    if name == "FeatureHasher":
        return LISTS
    return TEXTS if name in VECTORIZERS else None


def library_of(model: Any) -> str:
    return type(model).__module__.partition(".")[0]
