"""What the fitted steps of a model reveal about its columns: types, categories, and which user code reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .categories import TrainedCategories, trained_categories
from .columns import keyed
from .introspection import attribute, is_of_library, is_passthrough, library_of, names_of, width_of

ARRAY_LIBRARIES = ("numpy", "scipy", "sklearn")


@dataclass
class KnownColumns:
    """What is known, by the position of a column; a column that no step knows anything about is in none of these."""

    details: dict[int, dict[str, Any]] = field(default_factory=dict)
    """As in a sample's details: the types or categories that an encoder or a tree model knows."""
    code: dict[int, str] = field(default_factory=dict)
    """The user's own function or class that reads it first."""
    lost_categories: set[int] = field(default_factory=set)
    """Trained on pandas categories that the model does not keep."""
    unsure: set[int] = field(default_factory=set)
    """Columns whose categories may be those of other columns, unless a sample confirms them."""

    def add(self, position: int, detail: dict[str, Any]) -> None:
        """Merge `detail` into what earlier steps revealed; a later step knows missing values better."""
        earlier = self.details.get(position, {})
        missing = detail.get("missing") or earlier.get("missing") or []
        self.details[position] = {**detail, **earlier, "missing": missing}

    def confirm(self, sample: dict[str, Any] | None) -> None:
        """Keep the unsure categories only if the sample confirms them in each of their columns."""
        if self.unsure and not all(
            _has_categories(sample, one, self.details[one]["categories"]) for one in self.unsure
        ):
            self.lost_categories |= self.unsure
            self.details = {place: detail for place, detail in self.details.items() if place not in self.unsure}
        self.unsure = set()


def known_columns(model: Any, width: int | None) -> KnownColumns:
    """What is known of the `width` columns of `model`; nothing if one of its steps cannot be examined."""
    columns = KnownColumns()
    try:
        if width is not None:
            _walk(model, list(range(width)), [], columns)
    except Exception:  # whatever a foreign attribute raises, its model can be registered
        return KnownColumns()
    return columns


def _walk(step: Any, positions: list[int], names: list[str], columns: KnownColumns) -> bool:
    """Note what `step` knows of the columns at `positions`; return whether the next step gets the same columns."""
    if is_passthrough(step) or isinstance(step, str):
        return is_passthrough(step)
    code = own_code(step)
    if code is not None:
        return _note_own(step, code, positions, columns)
    if width_of(step) not in (None, len(positions)):
        return False
    names = names_of(step) or names
    best, steps = attribute(step, "best_estimator_"), attribute(step, "steps")
    if best is not None:
        return _walk(best, positions, names, columns)
    if isinstance(steps, list):
        return _walk_steps([inner for _, inner in steps], positions, names, columns)
    if isinstance(attribute(step, "transformer_list"), list):
        for _, inner in step.transformer_list:
            _walk(inner, positions, names, columns)
        return False
    if isinstance(attribute(step, "transformers_"), list):
        for _, inner, chosen in step.transformers_:
            _walk(inner, _positions(chosen, positions, names), [], columns)
        return False
    inner = _inner(step)
    if inner is None:
        return _note(step, positions, columns)
    if width_of(inner) == len(positions):
        _walk(inner, positions, names, columns)
    return False


def _walk_steps(steps: list[Any], positions: list[int], names: list[str], columns: KnownColumns) -> bool:
    """What the steps of a pipeline know; whether the next step gets the same columns."""
    n_passing = next((n for n, one in enumerate(steps) if not _walk(one, positions, names, columns)), len(steps))
    if len(steps) > 1 and isinstance(attribute(steps[-2], "transformers_"), list):
        behind = KnownColumns()
        _note_behind(steps[-2], steps[-1], dict(zip(names, positions)), behind)
        columns.lost_categories |= behind.lost_categories
        # The user's own code may give its columns other names, or make the categories itself.
        if all(own_code(one) is None for one in steps[n_passing:-2]):
            columns.unsure |= behind.unsure
            for position, detail in behind.details.items():
                columns.add(position, detail)
    return n_passing == len(steps)


def _note_behind(transformer: Any, model: Any, positions: dict[str, int], columns: KnownColumns) -> None:
    """Note the categories of `model` in the columns that the ColumnTransformer before it passes on with their names."""
    passed = {
        place
        for _, inner, chosen in transformer.transformers_
        if is_passthrough(inner)
        for place in _positions(chosen, list(positions.values()), list(positions))
    }
    names = names_of(model) or []
    trained = trained_categories(model, len(names))
    for place, name in enumerate(names):
        position = positions.get(name, positions.get(name.rpartition("__")[2]))
        if position is not None and position in passed:
            _note_categories(trained, place, position, columns)


def _note_categories(trained: TrainedCategories, place: int, position: int, columns: KnownColumns) -> None:
    """Note the categories of the model's column at `place`, which is at `position` in a request."""
    if place in trained.details:
        columns.add(position, trained.details[place])
    if place in trained.lost:
        columns.lost_categories.add(position)
    if place in trained.unsure:
        columns.unsure.add(position)


def _has_categories(sample: dict[str, Any] | None, place: int, categories: list[Any]) -> bool:
    """Whether the sample's column has these categories, or the texts or objects that the script made them from."""
    dtypes = (sample or {}).get("dtypes") or []
    if sample is None or place >= len(dtypes):
        return False
    if sample.get("texts") and all(isinstance(one, str) for one in categories):  # a CSV keeps no types
        return {row[place] for row in sample["texts"]} <= {"", *categories}
    if not (dtypes[place] or "").lower().startswith(("category", "object", "str", "large_string")):
        return False
    keys = list(map(keyed, categories))
    return all(row[place] is None or keyed(row[place]) in keys for row in sample["rows"])


def _note_own(step: Any, code: str, positions: list[int], columns: KnownColumns) -> bool:
    """Note what a user's own class keeps as an encoder or imputer does, or else that its code reads the columns."""
    is_derived = any(one.__module__.partition(".")[0] == "sklearn" for one in type(step).__mro__)
    is_function = type(step).__name__ == "FunctionTransformer"
    if is_derived and not is_function and _note_encoder(step, positions, columns):
        return is_of_library(step, ("transform",)) and _is_imputer(step, len(positions))
    columns.code.update({position: code for position in positions if position not in columns.code})
    return False


def _note(step: Any, positions: list[int], columns: KnownColumns) -> bool:
    """Note what a step without inner steps knows; return whether the next step gets the same columns."""
    trained = trained_categories(step, len(positions))
    for place, position in enumerate(positions):
        _note_categories(trained, place, position, columns)
    _note_encoder(step, positions, columns)
    return _is_imputer(step, len(positions))


def _is_imputer(step: Any, width: int) -> bool:
    """Whether it fills the gaps of `width` columns, and adds none."""
    statistics = attribute(step, "statistics_")
    return statistics is not None and len(statistics) == width and not attribute(step, "add_indicator")


def _note_encoder(step: Any, positions: list[int], columns: KnownColumns) -> bool:
    """Note what an encoder or imputer knows of types and missing values; return whether it knows anything."""
    details: list[dict[str, Any] | None] = []
    per_column = attribute(step, "categories_")
    if isinstance(per_column, list) and len(per_column) == len(positions):
        details = [_types_of(values) for values in per_column]
    elif hasattr(step, "missing_values"):
        missing = _missing(step.missing_values)
        details = [{"missing": [missing]} for _ in positions if missing is not None]
    for position, detail in zip(positions, details):
        if detail is not None:
            columns.add(position, detail)
    return any(detail is not None for detail in details)


def _missing(value: Any) -> str | None:
    """What null stands for to an imputer that fills `value`; None if `value` is an ordinary value."""
    if value is None:
        return "None"
    if type(value).__name__ == "NAType":  # which is neither equal nor unequal to anything
        return "NA"
    return "nan" if isinstance(value, float) and value != value else None  # noqa: PLR0124


def _inner(step: Any) -> Any:
    """The first inner model that gets the columns of `step` unchanged."""
    if attribute(step, "estimators_features_") is not None:  # each gets columns of its own, in another order
        return None
    encoder = attribute(step, "_preprocessor")  # of HistGradientBoosting, for its categories
    if encoder is not None and library_of(step) == "sklearn":
        return encoder
    for name in ("calibrated_classifiers_", "estimators_", "estimator_"):
        inner = attribute(step, name)
        if isinstance(inner, list) and inner:
            inner = attribute(inner[0], "estimator") or inner[0]
        if hasattr(inner, "get_params"):
            return inner
    return None


def own_code(step: Any) -> str | None:
    """The name of the function or class; None if it is a library's."""
    if step is None or isinstance(step, str):
        return None
    if type(step).__name__ == "FunctionTransformer" and library_of(step) == "sklearn":
        function = step.func
        if function is None:  # it passes on what it is given
            return None
        module = getattr(function, "__module__", None) or ("numpy" if "ufunc" in type(function).__name__ else "")
        return None if module.partition(".")[0] in ARRAY_LIBRARIES else getattr(function, "__name__", "a function")
    return None if is_of_library(step) else type(step).__name__


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
    present = [one for one in values if one is not None and one == one]  # noqa: PLR0124
    types = {next((kind.__name__ for kind in (bool, int, float, str) if isinstance(one, kind)), "") for one in present}
    if not types or "" in types:
        return None
    return {"types": sorted(types), "missing": sorted(missing), "is_object": kind == "O" and types != {"str"}}
