"""The pandas categories that LightGBM and XGBoost keep of their training data.

Both give their trees the codes of a category column, and the codes depend on the categories: codes that were rebuilt
from the values of a request would mean other categories.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .introspection import attribute, library_of, names_of

if TYPE_CHECKING:
    Categories = dict[int, dict[str, Any]]
    """Details as in a sample, by the position of the column."""

CATEGORICAL = re.compile(r"^\[categorical_feature: ([\d,]*)\]$", re.MULTILINE)
CODES = re.compile(r"\[(?:-1|\d+):(\d+)\]", re.ASCII)
INFOS = re.compile(r"^feature_infos=(.*)$", re.MULTILINE)
XGBOOST_INTEGERS = {
    9: "int8",
    10: "uint8",
    11: "int16",
    12: "uint16",
    13: "int32",
    14: "uint32",
    15: "int64",
    16: "uint64",
}
"""The types of integers, as XGBoost numbers them in the JSON of a model since 3.1."""

DTYPES = {bool: "bool", int: "int64", float: "float64", str: "object"}


@dataclass(frozen=True)
class TrainedCategories:
    """The categories of a model's columns, by position."""

    details: Categories = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)
    """Category columns whose categories the model did not keep."""
    unsure: set[int] = field(default_factory=set)
    """Columns whose `details` may belong to other columns."""


def trained_categories(model: Any, width: int) -> TrainedCategories:
    """The categories of each category column of `model`."""
    readers = {"lightgbm": _lightgbm_categories, "xgboost": _xgboost_categories}
    read = readers.get(library_of(model))
    if read is None:
        return TrainedCategories()
    details, columns, is_sure = read(model)
    if max(columns, default=-1) >= width:
        return TrainedCategories()
    return TrainedCategories(details, columns - set(details), set() if is_sure else set(details))


def _lightgbm_categories(model: Any) -> tuple[Categories, set[int], bool]:
    booster = attribute(model, "booster_") or model
    kept = attribute(booster, "pandas_categorical") or []
    if not kept:
        return {}, set(), True
    text = booster.model_to_string(num_iteration=1)
    infos = [info for line in INFOS.findall(text)[:1] for info in line.split(" ")]
    declared = [int(place) for line in CATEGORICAL.findall(text)[:1] for place in line.split(",") if place]
    columns = declared or [place for place, info in enumerate(infos) if not info.startswith(("[", "none"))]
    pairs = dict(zip(sorted(columns), kept))
    # an ordered category, or one that is not declared, is a number to LightGBM; a column of integers may be declared
    numbers = {
        place for place, info in enumerate(infos) if place not in columns and _may_be_codes(info, max(map(len, kept)))
    }
    is_one_to_one = len(columns) == len(kept) and all(
        max(map(int, infos[place].split(":"))) < len(values)
        for place, values in pairs.items()
        if infos[place] != "none"
    )
    if not is_one_to_one:
        return {}, numbers | set(columns), True
    details = {place: _detail(values, DTYPES.get(type(values[0]))) for place, values in pairs.items() if values}
    return {place: detail for place, detail in details.items() if detail is not None}, set(columns), not numbers


def _may_be_codes(info: str, n_categories: int) -> bool:
    """Whether a column of numbers may hold the codes of `n_categories`; LightGBM keeps the least and the greatest."""
    bounds = CODES.fullmatch(info)
    return info == "none" or (bounds is not None and int(bounds[1]) < n_categories)


def _xgboost_categories(model: Any) -> tuple[Categories, set[int], bool]:
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    columns = {place for place, kind in enumerate(attribute(booster, "feature_types") or ()) if kind == "c"}
    if not columns or attribute(model, "feature_types") is not None or names_of(model) is None:
        return {}, set(), True  # no categories, or the data itself has their codes
    if not hasattr(booster, "get_categories"):  # XGBoost before 3.1 forgets them
        return {}, columns, True
    try:  # its own export needs pyarrow, which XGBoost does not install
        learner = json.loads(bytes(booster.save_raw("json")))["learner"]["gradient_booster"]
        encodings = (learner.get("gbtree") or learner)["model"]["cats"]["enc"]
    except Exception:  # 3.2 writes invalid JSON for some integers
        return {}, columns, True
    details = {place: _encoding_detail(encodings[place]) for place in columns if place < len(encodings)}
    return {place: detail for place, detail in details.items() if detail is not None}, columns, True


def _encoding_detail(encoding: dict[str, Any]) -> dict[str, Any] | None:
    values = encoding["values"]
    if "offsets" not in encoding:
        return _detail(values, XGBOOST_INTEGERS.get(encoding.get("type", -1)))
    if not all(0 < byte < 128 for byte in values):  # XGBoost 3.2 cuts these bytes by the length in characters
        return None
    spans = ((start, encoding["offsets"][place]) for place, start in enumerate(encoding["offsets"][:-1], start=1))
    return _detail([bytes(values[start:end]).decode() for start, end in spans], "object")


def _detail(values: list[Any], dtype: str | None) -> dict[str, Any] | None:
    """The detail as a sample's column has it; None unless all categories have the same plain type."""
    if not values or dtype is None or len(set(map(type, values))) != 1:
        return None
    return {"categories": values, "of": dtype, "ordered": False}
