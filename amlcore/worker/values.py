"""What a logged value becomes in the record: numbers, text, lists of them; wrong calls are told plainly."""

import operator

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401


def check_name(call, name):
    # type: (str, object) -> None
    """Refuse what is no name of a metric, a tag or a property."""
    if not isinstance(name, str):
        words = "{}() takes a name first, as in {}('accuracy', …), not a {}"
        raise TypeError(words.format(call, call, type(name).__name__))
    if not name.strip():
        raise ValueError("{}() takes a name that is not empty, as in {}('accuracy', …)".format(call, call))


def kept_path(call, name):
    # type: (str, str) -> str
    """`name`, if it is the path of a file below outputs/ or logs/."""
    check_name(call, name)
    first, _, rest = name.partition("/")
    if first not in ("outputs", "logs") or not {"", ".", ".."}.isdisjoint(rest.split("/")):
        words = "{}('{}', …) takes a name that begins with outputs/ or logs/ and stays there, as outputs/model.pkl"
        raise ValueError(words.format(call, name))
    return name


def whole_step(name, step):
    # type: (str, typing.Any) -> int | None
    """The step of a value as an integer, or None."""
    if step is None:
        return None
    number = plain(step)
    if isinstance(number, (str, bool)) or (isinstance(number, float) and not number.is_integer()):
        raise TypeError("log('{}', …, step={!r}): step is a whole number".format(name, step))
    return int(number)


def mapping(call, value):
    # type: (str, typing.Any) -> typing.Any
    """`value`, if it is a mapping."""
    if not hasattr(value, "items"):
        raise TypeError("{}() takes a dict, not a {}".format(call, type(value).__name__))
    return value


def plain(value):
    # type: (typing.Any) -> bool | int | float | str
    """One value as JSON holds it: a number of any library as Python's own, anything else as text."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, (bool, str)):
        return str.__str__(value) if isinstance(value, str) else value  # an enum's member has another str() than text
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    for convert in (operator.index, _real):
        try:
            return convert(value)
        except (TypeError, ValueError):
            continue
    return str(value)


def _real(value):
    if not hasattr(value, "__float__"):
        raise TypeError
    return float(value)


def text(value):
    # type: (typing.Any) -> str
    """A plain value as a script is given it and as tables show it; a number in the form that argparse takes."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float):
        said = repr(float(value))
        # argparse takes what begins with - for an option, unless it has the digits of a number and no exponent.
        return positional(said) if value < 0 and "e" in said else said
    if isinstance(value, (list, tuple)):
        return "[{}]".format(", ".join(map(text, value)))
    return str(value)


def shortest(value):
    # type: (typing.Any) -> bool | int | float | str
    """The same as `plain`, but NumPy's numbers of few digits have no more of them: 0.1, not 0.10000000149011612."""
    kind = getattr(value, "dtype", None)
    if kind is not None and getattr(kind, "kind", "") == "f" and kind.itemsize < 8:
        return float(str(value))
    return plain(value)


def positional(number):
    # type: (str) -> str
    """The text of a number without an exponent, with as many digits as it says."""
    import decimal  # only here: it takes a script longer to load than all the rest

    return format(decimal.Decimal(number), "f")


def is_series(value):
    # type: (object) -> bool
    """Whether `value` holds several values: a list, an array, a column, a mapping."""
    if isinstance(value, (str, bytes)) or getattr(value, "ndim", None) == 0:
        return False
    return hasattr(value, "__len__") or hasattr(value, "__next__")


def scalar(call, name, value):
    # type: (str, str, object) -> bool | int | float | str
    """The single value of a call; several are refused with the call that takes them."""
    if not is_series(value):
        return plain(value)
    instead = "log_row(name, **columns)" if hasattr(value, "keys") else "log_list(name, values)"
    raise TypeError(
        "{}('{}', …) takes one value, not a {}: use {} instead".format(call, name, type(value).__name__, instead)
    )


def scalars(call, name, values):
    # type: (str, str, typing.Any) -> list[bool | int | float | str]
    """The values of a list, an array or a column."""
    if not is_series(values) or (hasattr(values, "keys") and not hasattr(values, "tolist")):
        instead = "log(name, value)"
        if hasattr(values, "keys"):
            instead = "log_table(name, columns)" if hasattr(values, "columns") else "log_row(name, **columns)"
        raise TypeError(
            "{}('{}', …) takes a list, not a {}: use {} instead".format(call, name, type(values).__name__, instead)
        )
    items = values.tolist() if hasattr(values, "tolist") else list(values)
    if any(is_series(item) for item in items):
        raise TypeError("{}('{}', …) takes a flat list: use log_table(name, columns) for rows".format(call, name))
    return [plain(item) for item in items]


def table(name, value):
    # type: (str, typing.Any) -> dict[str, list[bool | int | float | str]]
    """The columns of a table, all of one length."""
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        value = value.to_dict("list")
    if not hasattr(value, "items"):
        words = "log_table('{}', …) takes a dict of columns, not a {}: use log_list(name, values) for one list"
        raise TypeError(words.format(name, type(value).__name__))
    columns = {
        str(key): scalars("log_table", name, column) if is_series(column) else [plain(column)]
        for key, column in value.items()
    }
    if not columns:
        raise ValueError("log_table('{}', …) got no columns".format(name))
    if len({len(column) for column in columns.values()}) > 1:
        lengths = ", ".join("{}: {}".format(key, len(column)) for key, column in columns.items())
        raise ValueError("log_table('{}', …) takes columns of one length, not {}".format(name, lengths))
    return columns


def confusion_matrix(name, value, labels):
    # type: (str, typing.Any, typing.Any) -> dict[str, typing.Any]
    """A confusion matrix in Azure ML's own form, from that form or from rows of counts."""
    if hasattr(value, "keys"):
        data = value.get("data")
        if not hasattr(data, "keys") or "matrix" not in data:
            words = "log_confusion_matrix('{}', …) takes a square matrix, or a dict with data: {{class_labels, matrix}}"
            raise ValueError(words.format(name))
        labels = data.get("class_labels") if labels is None else labels
        value = data["matrix"]
    rows = matrix(value)
    if rows is None or any(len(row) != len(rows) for row in rows) or not rows:
        raise ValueError("log_confusion_matrix('{}', …) takes a square matrix of counts".format(name))
    names = [str(label) for label in (range(len(rows)) if labels is None else labels)]
    if len(names) != len(rows):
        words = "log_confusion_matrix('{}', …): {} labels do not fit {} rows"
        raise ValueError(words.format(name, len(names), len(rows)))
    return {
        "schema_type": "confusion_matrix",
        "schema_version": "1.0.0",
        "data": {"class_labels": names, "matrix": rows},
    }


def matrix(value):
    # type: (typing.Any) -> list[list[bool | int | float | str]] | None
    """Rows of plain values; None where `value` has no two dimensions."""
    value = value.toarray() if hasattr(value, "toarray") else value
    rows = value.tolist() if hasattr(value, "tolist") else value
    if not is_series(rows):
        return None
    rows = list(rows)
    if not all(is_series(row) and not any(is_series(item) for item in row) for row in rows):
        return None
    return [[plain(item) for item in row] for row in rows]
