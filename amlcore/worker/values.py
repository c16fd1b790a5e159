"""Checks what a script logs, and turns it into JSON values: numbers, text, lists of them."""

import operator

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401


def check_name(call, name):
    # type: (str, object) -> None
    """Refuse what cannot be the name of a metric, a tag or a property."""
    if not isinstance(name, str):
        message = "the first argument of {}() must be a name, as in {}('accuracy', …), not a {}"
        raise TypeError(message.format(call, call, type(name).__name__))
    if not name.strip():
        raise ValueError("the name in {}() must not be empty, as in {}('accuracy', …)".format(call, call))


def kept_path(call, name):
    # type: (str, str) -> str
    """`name`, if it is the path of a file below outputs/ or logs/."""
    check_name(call, name)
    first, _, rest = name.partition("/")
    if first not in ("outputs", "logs") or not {"", ".", ".."}.isdisjoint(rest.split("/")):
        message = "{}('{}', …): the name must be a path below outputs/ or logs/, such as outputs/model.pkl"
        raise ValueError(message.format(call, name))
    return name


def whole_step(name, step):
    # type: (str, typing.Any) -> int | None
    """The step of a value as an integer, or None."""
    if step is None:
        return None
    number = to_json_scalar(step)
    if isinstance(number, (str, bool)) or (isinstance(number, float) and not number.is_integer()):
        raise TypeError("log('{}', …, step={!r}): step must be an integer".format(name, step))
    return int(number)


def mapping(call, value):
    # type: (str, typing.Any) -> typing.Any
    """`value`, if it is a mapping."""
    if not hasattr(value, "items"):
        raise TypeError("{}() needs a dict, not a {}".format(call, type(value).__name__))
    return value


def to_json_scalar(value):
    # type: (typing.Any) -> bool | int | float | str
    """A value as JSON has it: numbers of any library become Python's, anything else becomes text."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, (bool, str)):
        return str.__str__(value) if isinstance(value, str) else value  # str() of an enum's member is not its text
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
    """A plain value as a script gets it and as tables show it; numbers in a form that argparse accepts."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float):
        digits = repr(float(value))
        # argparse reads a word that starts with - as an option, unless it is a number without an exponent.
        return positional(digits) if value < 0 and "e" in digits else digits
    if isinstance(value, (list, tuple)):
        return "[{}]".format(", ".join(map(text, value)))
    return str(value)


def shortest(value):
    # type: (typing.Any) -> bool | int | float | str
    """The same as `plain`, but a float32 keeps its own digits: 0.1, not 0.10000000149011612."""
    kind = getattr(value, "dtype", None)
    if kind is not None and getattr(kind, "kind", "") == "f" and kind.itemsize < 8:
        return float(str(value))
    return to_json_scalar(value)


def positional(number):
    # type: (str) -> str
    """The text of a number without an exponent, with all its digits."""
    import decimal  # imported here, since it takes longer than all the rest

    return format(decimal.Decimal(number), "f")


def is_series(value):
    # type: (object) -> bool
    """Whether `value` holds several values: a list, an array, a column or a mapping."""
    if isinstance(value, (str, bytes)) or getattr(value, "ndim", None) == 0:
        return False
    return hasattr(value, "__len__") or hasattr(value, "__next__")


def scalar(call, name, value):
    # type: (str, str, object) -> bool | int | float | str
    """The value of a call that logs one; several are refused, with the call to use for them."""
    if not is_series(value):
        return to_json_scalar(value)
    instead = "log_row(name, **columns)" if hasattr(value, "keys") else "log_list(name, values)"
    raise TypeError(
        "{}('{}', …) needs a single value, not a {}; use {}".format(call, name, type(value).__name__, instead)
    )


def scalars(call, name, values):
    # type: (str, str, typing.Any) -> list[bool | int | float | str]
    """The values of a list, an array or a column."""
    if not is_series(values) or (hasattr(values, "keys") and not hasattr(values, "tolist")):
        instead = "log(name, value)"
        if hasattr(values, "keys"):
            instead = "log_table(name, columns)" if hasattr(values, "columns") else "log_row(name, **columns)"
        raise TypeError("{}('{}', …) needs a list, not a {}; use {}".format(call, name, type(values).__name__, instead))
    items = values.tolist() if hasattr(values, "tolist") else list(values)
    if any(is_series(item) for item in items):
        raise TypeError("{}('{}', …) needs a flat list; use log_table(name, columns) for rows".format(call, name))
    return [to_json_scalar(item) for item in items]


def table(name, value):
    # type: (str, typing.Any) -> dict[str, list[bool | int | float | str]]
    """The columns of a table, all of one length."""
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        value = value.to_dict("list")
    if not hasattr(value, "items"):
        message = "log_table('{}', …) needs a dict of columns, not a {}; use log_list(name, values) for one list"
        raise TypeError(message.format(name, type(value).__name__))
    columns = {
        str(key): scalars("log_table", name, column) if is_series(column) else [to_json_scalar(column)]
        for key, column in value.items()
    }
    if not columns:
        raise ValueError("log_table('{}', …) needs at least one column".format(name))
    if len({len(column) for column in columns.values()}) > 1:
        lengths = ", ".join("{}: {}".format(key, len(column)) for key, column in columns.items())
        raise ValueError("log_table('{}', …) needs columns of equal length, not {}".format(name, lengths))
    return columns


def confusion_matrix(name, value, labels):
    # type: (str, typing.Any, typing.Any) -> dict[str, typing.Any]
    """A confusion matrix in Azure ML's form, from that form or from rows of counts."""
    if hasattr(value, "keys"):
        data = value.get("data")
        if not hasattr(data, "keys") or "matrix" not in data:
            message = (
                "log_confusion_matrix('{}', …) needs a square matrix or a dict with data: {{class_labels, matrix}}"
            )
            raise ValueError(message.format(name))
        labels = data.get("class_labels") if labels is None else labels
        value = data["matrix"]
    rows = matrix(value)
    if rows is None or any(len(row) != len(rows) for row in rows) or not rows:
        raise ValueError("log_confusion_matrix('{}', …) needs a square matrix of counts".format(name))
    names = [str(label) for label in (range(len(rows)) if labels is None else labels)]
    if len(names) != len(rows):
        message = "log_confusion_matrix('{}', …): got {} labels for {} rows"
        raise ValueError(message.format(name, len(names), len(rows)))
    return {
        "schema_type": "confusion_matrix",
        "schema_version": "1.0.0",
        "data": {"class_labels": names, "matrix": rows},
    }


def matrix(value):
    # type: (typing.Any) -> list[list[bool | int | float | str]] | None
    """Rows of plain values; None unless `value` has two dimensions."""
    value = value.toarray() if hasattr(value, "toarray") else value
    rows = value.tolist() if hasattr(value, "tolist") else value
    if not is_series(rows):
        return None
    rows = list(rows)
    if not all(is_series(row) and not any(is_series(item) for item in row) for row in rows):
        return None
    return [[to_json_scalar(item) for item in row] for row in rows]
