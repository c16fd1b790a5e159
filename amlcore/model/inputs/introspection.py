"""What a fitted model itself reveals about its input, besides its sample."""

from __future__ import annotations

from numbers import Integral
from typing import Any

LIBRARIES = {"sklearn", "imblearn", "lightgbm", "xgboost", "catboost", "skopt", "optuna", "optuna_integration"}
"""Their classes pass the columns they get on to an inner model, or know how many they pass on."""

METHODS = ("fit", "fit_transform", "transform", "predict", "predict_proba", "decision_function")

RECORDS, LISTS, TEXTS = "records", "lists", "texts"
VECTORIZERS = ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer")


def attribute(model: Any, name: str) -> Any:
    # A property of an estimator that is not fitted, or that delegates, may raise anything.
    try:
        return getattr(model, name, None)
    except Exception:
        return None


def names_of(model: Any) -> list[str] | None:
    """The names of the columns that it was trained on."""
    kept = _kept(model, "feature_names_in_")
    if kept is None:  # such as a pipeline whose first step is "passthrough"
        kept = _kept(first_step(model), "feature_names_in_")
    if kept is None and library_of(model) == "catboost":
        kept = attribute(model, "feature_names_")
        if kept is not None and list(kept) == [str(number) for number in range(len(kept))]:
            return None  # CatBoost's own names for the columns of an array
    if not hasattr(kept, "__iter__"):
        return None
    names = kept.tolist() if hasattr(kept, "tolist") else list(kept)
    return names if names and all(isinstance(name, str) for name in names) else None


def width_of(model: Any) -> int | None:
    """How many columns it was trained on."""
    width = _kept(model, "n_features_in_") or _kept(first_step(model), "n_features_in_")
    if not width and library_of(model) == "catboost":  # which does not save n_features_in_
        width = len(attribute(model, "feature_names_") or ())
    return int(width) if isinstance(width, Integral) and width else None


def _kept(model: Any, name: str) -> Any:
    """Like `attribute`, but without what a user's own class takes from an inner model by `__getattr__`."""
    is_own = name in getattr(model, "__dict__", ()) or hasattr(type(model), name)
    return attribute(model, name) if is_own or is_of_library(model) else None


def same_names(model: Any, names: list[str], sampled: list[str]) -> dict[str, str]:
    """If the model's library changes names: the names in the data, by the model's; empty if they do not correspond."""
    changed = {name.replace(" ", "_"): name for name in sampled}
    is_changed = library_of(last_step(model)) == "lightgbm" and len(changed) == len(sampled)
    return {name: changed[name] for name in names if name in changed} if is_changed else {}


def last_step(model: Any) -> Any:
    """The step that answers: a pipeline's last step, a search's best model."""
    while True:
        best, steps = attribute(model, "best_estimator_"), attribute(model, "steps")
        if best is not None:
            model = best
        elif isinstance(steps, list) and steps:
            model = steps[-1][1]
        else:
            return model


def first_step(model: Any) -> Any:
    """The step that gets the rows as they are; a user's own class may change them before its inner model sees them."""
    for _ in range(20):
        if not is_of_library(model):
            return model
        best, steps = attribute(model, "best_estimator_"), attribute(model, "steps")
        parts, inner = attribute(model, "transformer_list"), attribute(model, "estimator_")
        for name in ("estimators_", "calibrated_classifiers_"):
            inner = attribute(model, name) if inner is None else inner
        if best is not None:
            model = best
        elif isinstance(steps, list) and steps:
            real = [step for _, step in steps if not is_passthrough(step)]
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
    """Whether a step of a pipeline passes its columns on unchanged."""
    if step is None or isinstance(step, str):
        return step in (None, "passthrough")
    is_function = type(step).__name__ == "FunctionTransformer" and library_of(step) == "sklearn"
    return is_function and step.func is None


def is_of_library(model: Any, methods: tuple[str, ...] = METHODS) -> bool:
    """Whether all its `methods` are a known library's code; a subclass that overrides none of them counts."""
    classes = type(model).__mro__
    owners = [next((one for one in classes if name in vars(one)), None) for name in methods]
    libraries = {owner.__module__.partition(".")[0] for owner in owners if owner is not None}
    return bool(libraries) and libraries <= LIBRARIES


def form_of(model: Any) -> str | None:
    """The form of rows without columns; None if the rows may have columns."""
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
