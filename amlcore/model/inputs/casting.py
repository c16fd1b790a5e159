"""Values of a request as an array or a pandas Series of the type that the model was trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from . import times
from .columns import DATES, MAX_EXACT_INT, Column, keyed
from .errors import Text


@dataclass(frozen=True)
class Interpretation:
    """One way to read what a request leaves open."""

    null: str | None = None
    """What null means in object columns that had none in training, or several kinds: nan, None, NA or NaT."""
    unknown_is_missing: bool = False
    """Whether a value outside a column's categories counts as missing."""
    gaps_are_objects: bool = False
    """Whether an all-null column of unknown type holds objects."""
    whole_are_floats: bool = False
    """Whether integers in a column of unknown type are cast to float."""


PLAIN = Interpretation()


def cast(column: Column, values: list[Any], interpretation: Interpretation, *, is_irregular: bool = False) -> Any:
    """The checked `values` as a pandas Series or an array of shape (n_rows,) with the column's dtype."""
    if is_irregular:
        return widened(values)
    if column.dtype is None and "types" not in column.detail:
        return _untyped(column, values, interpretation)
    if column.dtype in (None, "object"):
        return _objects(column, values, interpretation)
    if column.is_category:
        return _categories(column, values, interpretation)
    if column.dtype == "category":  # an old registration, which did not keep the categories
        return _objects(column, values, interpretation)
    if column.kind in times.PARSERS:
        parse = times.PARSERS[column.kind]
        return times.to_dtype([None if one is None else parse(one) for one in values], column.kind, column.dtype)
    return _typed(column, values)


def _typed(column: Column, values: list[Any]) -> Any:
    import numpy as np

    assert column.dtype is not None
    if column.is_whole:
        values = [None if one is None else int(one) for one in values]
    if column.is_numpy:
        if column.kind == "text":
            return _strings(column.dtype, values)
        if column.kind == "number" and not column.is_whole:
            with np.errstate(over="ignore"):
                return np.array([math.nan if one is None else float(one) for one in values]).astype(column.dtype)
        return np.array(values, dtype=column.dtype)
    import pandas as pd

    dtype = column.dtype
    if column.dtype == "string":
        dtype = pd.StringDtype(column.detail.get("storage"))
    if column.dtype.startswith("Sparse"):
        filled = [math.nan if one is None else one for one in values]
        return pd.Series(filled, dtype=dtype)
    return pd.Series(pd.array(values, dtype=dtype))


def _strings(dtype: str, values: list[Any]) -> Any:
    import numpy as np

    if dtype.startswith(("<u", ">u", "<U", ">U")):
        return np.array(values, dtype=object if None in values else str)
    import pandas as pd

    return pd.Series(values, dtype=dtype)


def widened(values: list[Any]) -> Any:
    """Numbers and nulls as pandas infers them: (n_rows,) int64, uint64 or float64; object where booleans have nulls."""
    import numpy as np

    if any(isinstance(one, bool) for one in values):
        return _array([math.nan if one is None else one for one in values])
    if values and all(one is not None and one == int(one) for one in values):
        whole = [int(one) for one in values]
        for dtype in ("int64", "uint64"):
            if np.iinfo(dtype).min <= min(whole) and max(whole) <= np.iinfo(dtype).max:
                return np.array(whole, dtype=dtype)
    return np.array([math.nan if one is None else float(one) for one in values])


def is_exact(values: list[Any]) -> bool:
    """Whether float64 represents every integer of `values` exactly."""
    return all(not isinstance(one, int) or abs(one) <= MAX_EXACT_INT or _is_kept(one) for one in values)


def _is_kept(number: int) -> bool:
    try:
        return int(float(number)) == number
    except OverflowError:
        return False


def _untyped(column: Column, values: list[Any], interpretation: Interpretation) -> Any:
    import numpy as np

    if all(one is None for one in values):
        nulls = [null_of(column, values, interpretation)] * len(values)
        return _array(nulls) if interpretation.gaps_are_objects else np.full(len(values), math.nan)
    if all(isinstance(one, bool) for one in values):
        return np.array(values, dtype=bool)
    if all(one is None or (isinstance(one, (int, float)) and not isinstance(one, bool)) for one in values):
        is_whole = all(isinstance(one, int) for one in values)
        return widened(values) if is_whole and not interpretation.whole_are_floats else _floats(values)
    null = null_of(column, values, interpretation)
    return _array([null if one is None else _text(one) if isinstance(one, str) else one for one in values])


def _text(value: str) -> str:
    """A plain str unless it could be a number: pandas parses the dates in a plain str and in a subclass differently."""
    try:
        float(value)
    except ValueError:
        return value
    return Text(value)


def _floats(values: list[Any]) -> Any:
    import numpy as np

    return np.array([math.nan if one is None else float(one) for one in values])


def _objects(column: Column, values: list[Any], interpretation: Interpretation) -> Any:
    types = set(column.detail.get("types") or ())
    if column.dtype is None and types and types <= {"int", "float", "bool"}:
        return _untyped(column, values, interpretation)
    null = null_of(column, values, interpretation)
    array = _array([null if one is None else _object(one, types) for one in values])
    if column.kind not in times.PARSERS:
        return array
    import pandas as pd

    return pd.Series(array, dtype="object")


def _object(value: Any, types: set[str]) -> Any:
    """`value` as an object of the type among `types` that it stands for."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        if "Decimal" in types and not types & {"int", "float"}:
            from decimal import Decimal

            return Decimal(repr(value))
        if "float" not in types and "int" in types and value == int(value):
            return int(value)
        return float(value) if "int" not in types and "float" in types else value
    if types & set(DATES):
        date = times.parse_date(value)
        if "date" in types:
            return date.date()
        return date.to_datetime64() if "datetime64" in types else date.to_pydatetime() if "datetime" in types else date
    if types & {"Timedelta", "timedelta"}:
        duration = times.parse_duration(value)
        return duration.to_pytimedelta() if "timedelta" in types else duration
    return value


def _categories(column: Column, values: list[Any], interpretation: Interpretation) -> Any:
    import pandas as pd

    categories = column.detail["categories"]
    places = {keyed(one): place for place, one in enumerate(categories)}
    index = index_of(categories, column.detail["of"])
    extra: list[Any] = []
    if not interpretation.unknown_is_missing:
        for one in values:
            if one is not None and keyed(one) not in places:
                places[keyed(one)] = len(places)
                extra.append(one)
    if extra:
        index = index.append(index_of(extra, column.detail["of"]))
    codes = [-1 if one is None else places.get(keyed(one), -1) for one in values]
    return pd.Series(pd.Categorical.from_codes(codes, index, ordered=column.detail["ordered"]))


def index_of(items: list[Any], dtype: str) -> Any:
    import pandas as pd

    for start, kind in (("datetime64", "date"), ("timedelta64", "duration"), ("period", "period")):
        if dtype.startswith(start):
            parse = times.PARSERS[kind]
            return pd.Index(times.to_dtype([parse(one) for one in items], kind, dtype))
    return pd.Index(items, dtype=dtype)


def null_of(column: Column, values: list[Any], interpretation: Interpretation) -> Any:
    options = column.nulls([None, *(one for one in values if isinstance(one, str))])
    name = interpretation.null if interpretation.null in options else options[0]
    if name == "None":
        return None
    if name == "nan":
        return math.nan
    import pandas as pd

    return pd.NA if name == "NA" else pd.NaT


def _array(values: list[Any]) -> Any:
    import numpy as np

    array = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        array[place] = value
    return array
