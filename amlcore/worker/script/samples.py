"""What run.log_sample writes: the first rows of the data, with all that is needed to build such data again.

The rows are not enough: JSON has no categories, no time zones, and a single null for both None and NaN.
"""

from amlcore.worker.values import is_series, to_json_scalar

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

ROWS = 5


def sample(data):
    # type: (typing.Any) -> dict[str, typing.Any]
    """The first rows of a model's input data, with its form and the types of its columns.

    `form` is frame, series, array, values (an array of one dimension), sparse, list, texts, lists (of any length) or
    records. `labels` are the column names where they are not text. For each column, `details` has what its dtype does
    not tell, from all rows: the categories, or the types of objects and of missing values.
    """
    if hasattr(data, "iter_rows") and hasattr(data, "columns"):
        return _polars_sample(data)
    if hasattr(data, "iloc"):
        return _frame_sample(data) if hasattr(data, "columns") else _series_sample(data)
    if not is_series(data) or not hasattr(data, "__getitem__") or hasattr(data, "keys"):
        raise TypeError("log_sample(X) needs rows: an array, a DataFrame or a list, not a " + type(data).__name__)
    if hasattr(data, "toarray"):
        head = data[:ROWS].toarray()
        return _without_names("sparse", [str(data.dtype)] * head.shape[1], None, cells(head.tolist()))
    return _array_sample(data) if hasattr(data, "dtype") else _list_sample(list(data))


def _without_names(form, dtypes, details, rows):
    # type: (str, list[str] | None, typing.Any, list[list[typing.Any]]) -> dict[str, typing.Any]
    return {"form": form, "columns": None, "dtypes": dtypes, "details": details, "rows": rows}


def _frame_sample(frame):
    # type: (typing.Any) -> dict[str, typing.Any]
    parts = [frame.iloc[:, index] for index in range(len(frame.columns))]
    names = [str(name) for name in frame.columns]
    labels = [_label(name) for name in frame.columns]
    return {
        "form": "frame",
        "columns": names,
        "labels": None if labels == names else labels,
        "dtypes": [str(part.dtype) for part in parts],
        "details": [_detail(part) for part in parts],
        # by itertuples, since the rows of a frame would turn integers into floats
        "rows": cells(frame.iloc[:ROWS].itertuples(index=False, name=None)),
    }


def _polars_sample(frame):
    # type: (typing.Any) -> dict[str, typing.Any]
    """The sample of a polars DataFrame, with pandas dtypes: a service gives the model a pandas DataFrame."""
    columns = [frame[name].to_list() for name in frame.columns]
    dtypes = []
    for name, column in zip(frame.columns, columns):  # noqa: B905 - Python before 3.10
        dtype = str(frame[name].dtype)
        is_bool = dtype == "Boolean" and None not in column
        dtypes.append("bool" if is_bool else dtype.lower() if dtype.startswith(("Int", "UInt", "Float")) else "object")
    rows = frame.head(ROWS).iter_rows()
    return {
        "form": "frame",
        "columns": [str(name) for name in frame.columns],
        "labels": None,
        "dtypes": dtypes,
        "details": [
            _object_details(column) if dtype == "object" else None
            for column, dtype in zip(columns, dtypes)  # noqa: B905
        ],
        "rows": cells(rows),
    }


def _series_sample(series):
    # type: (typing.Any) -> dict[str, typing.Any]
    return {
        "form": "series",
        "columns": None if series.name is None else [str(series.name)],
        "labels": None if series.name is None or isinstance(series.name, str) else [_label(series.name)],
        "dtypes": [str(series.dtype)],
        "details": [_detail(series)],
        "rows": [[cell(item)] for item in series.iloc[:ROWS].tolist()],
    }


def _array_sample(array):
    # type: (typing.Any) -> dict[str, typing.Any]
    head = array[:ROWS]
    if head.dtype.kind in "mM":
        head = head.astype(str)
    form = "array"
    if array.ndim == 1:
        form = "texts" if all(isinstance(item, str) for item in array.tolist()) else "values"
    rows = cells(head.tolist())
    width = len(rows[0]) if rows else 0
    details = None
    if array.dtype.kind == "O" and array.ndim <= 2:
        columns = [array] if array.ndim == 1 else [array[:, index] for index in range(width)]
        details = [_object_details(column.tolist()) for column in columns]
    return _without_names(form, [str(array.dtype)] * width if rows else None, details, rows)


def _list_sample(items):
    # type: (list[typing.Any]) -> dict[str, typing.Any]
    if items and all(hasattr(item, "keys") for item in items):
        return _records_sample(items)
    if items and all(isinstance(item, str) for item in items):
        return _without_names("texts", None, None, [[item] for item in items[:ROWS]])
    rows = [list(item) if is_series(item) else [item] for item in items]
    if not rows or len({len(row) for row in rows}) > 1:
        return _without_names("lists", None, None, cells(rows[:ROWS]))
    details = [_object_details(column) for column in zip(*rows)]  # noqa: B905 - Python before 3.10
    kinds = set()  # type: set[str]
    for detail in details:
        kinds |= set(detail["types"])
    form = "list" if is_series(items[0]) else "values"
    if "list" in kinds or "tuple" in kinds:
        return _without_names("lists", None, None, cells(rows[:ROWS]))
    if kinds and kinds <= {"int", "float"} and not any("None" in detail["missing"] for detail in details):
        # as numpy converts them to one array
        is_integer = "float" not in kinds and not any(detail["missing"] for detail in details)
        return _without_names(form, ["int64" if is_integer else "float64"] * len(details), None, cells(rows[:ROWS]))
    return _without_names(form, ["object"] * len(details), details, cells(rows[:ROWS]))


def _records_sample(records):
    # type: (list[typing.Any]) -> dict[str, typing.Any]
    names = []  # type: list[typing.Any]
    for record in records[:ROWS]:
        names += [name for name in record if name not in names]
    columns = [[record.get(name) for record in records] for name in names]
    texts = [str(name) for name in names]
    return {
        "form": "records",
        "columns": texts,
        "dtypes": None,
        "details": [_object_details(column) for column in columns],
        "rows": cells([record.get(name) for name in names] for record in records[:ROWS]),
        "records": [{str(name): _nested(value) for name, value in record.items()} for record in records[:ROWS]],
    }


def _nested(value):
    if hasattr(value, "items"):
        return {str(name): _nested(part) for name, part in value.items()}
    return [_nested(part) for part in value] if is_series(value) else cell(value)


def _label(name):
    """A column name as JSON: a tuple becomes a list, what JSON cannot hold becomes None."""
    if isinstance(name, tuple):
        return [_label(part) for part in name]
    value = to_json_scalar(name)
    is_kept = isinstance(name, str) or isinstance(value, (bool, int, float))
    return value if is_kept else None


def _detail(series):
    """What the name of a column's dtype leaves out; None if it leaves out nothing."""
    dtype = series.dtype
    if hasattr(dtype, "categories"):
        categories = dtype.categories
        objects = set(map(_type_name, categories.tolist())) - {"bool", "int", "float", "str"}
        return {
            "categories": [cell(item) for item in categories.tolist()],
            "of": str(categories.dtype),
            "ordered": bool(dtype.ordered),
            **({"objects": sorted(objects)} if objects and str(categories.dtype) == "object" else {}),
        }
    if hasattr(dtype, "storage"):
        return {"storage": str(dtype.storage)}
    return _object_details(series.tolist()) if str(dtype) == "object" else None


def _object_details(items):
    types, missing = set(), set()
    for item in items:
        name = type(item).__name__
        if item is None:
            missing.add("None")
        elif name in ("NAType", "NaTType"):
            missing.add("NA" if name == "NAType" else "NaT")
        elif isinstance(item, float) and item != item:  # noqa: PLR0124 - NaN alone differs from itself
            missing.add("nan")
        else:
            types.add(_type_name(item))
    return {"types": sorted(types), "missing": sorted(missing)}


def _type_name(item):
    if hasattr(item, "item") and getattr(item, "ndim", None) == 0:
        item = item.item()
    for kind in (bool, int, float, str):
        if isinstance(item, kind):
            return kind.__name__
    return type(item).__name__


def cells(rows):
    # type: (typing.Any) -> list[list[typing.Any]]
    return [[cell(item) for item in row] if is_series(row) else [cell(row)] for row in rows]


def cell(item):
    # type: (typing.Any) -> typing.Any
    """A cell as in a request: a missing value is null."""
    if is_series(item):
        return [cell(part) for part in item]
    if item is None or type(item).__name__ in ("NAType", "NaTType"):
        return None
    try:
        is_missing = bool(item != item)  # noqa: PLR0124 - as above
    except (TypeError, ValueError):
        is_missing = False
    return None if is_missing else to_json_scalar(item)
