"""A trial of a model in the interpreter that trained it: whether it was fitted, and which files its code opens.

Python 3.6 and the standard library; a part of probe.py.
"""

import builtins
import io
import json
import os
import sys
import types  # noqa: F401  for the annotations
import warnings


class OpenedFiles(object):
    """The files that modules of the snapshot open from now on, each with the module that opened it."""

    def __init__(self, roots):
        self.roots = roots
        self.files = {}
        if hasattr(sys, "addaudithook"):
            sys.addaudithook(lambda event, arguments: self.note(arguments[0]) if event == "open" else None)
        else:  # before Python 3.8
            plain_open = io.open

            def noting(file, *further, **named):
                self.note(file)
                return plain_open(file, *further, **named)

            builtins.open = io.open = noting

    def note(self, path):
        if not isinstance(path, str) or path.endswith((".py", ".pyc", ".so")) or path in self.files:
            return
        frame = sys._getframe(1)  # type: types.FrameType | None
        while frame is not None and not is_below(frame.f_code.co_filename, self.roots):
            frame = frame.f_back
        absolute = os.path.abspath(path)
        foreign = [sys.prefix, sys.base_prefix, "/proc", "/sys", "/dev", "/etc", "/usr"]
        if frame is not None and os.path.isfile(absolute) and not is_below(absolute, foreign):
            self.files[absolute] = os.path.abspath(frame.f_code.co_filename)


def is_below(path, folders):
    return any(os.path.abspath(path).startswith(folder + os.sep) for folder in folders)


def trial(model, methods):
    """Whether the model was fitted, and which file or module it lacks, by predicting a row of zeros.

    Errors about the zeros themselves are ignored.
    """
    method = next((name for name in ("predict", "transform") if name in methods), None)
    if method is None:
        return None
    if hasattr(model, "is_fitted") and attribute(model, "is_fitted")() is False:  # CatBoost
        return {"unfitted": "is_fitted() returns False", "lacks": None}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            getattr(model, method)(zeros(model))
    except Exception as error:
        message = "{}: {}".format(type(error).__name__, str(error).strip().partition("\n")[0])
        lacks = message if isinstance(error, (OSError, ImportError)) else None
        return {"unfitted": message if is_unfitted(model, error) else None, "lacks": lacks}
    return None


def is_unfitted(model, error):
    """Whether `error` means that the model was never fitted; models of a user's own class may raise anything."""
    if type(error).__name__.endswith("NotFittedError"):
        return True
    if not isinstance(error, AttributeError):
        return False
    try:
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(model)
    except Exception as reason:
        return type(reason).__name__ == "NotFittedError"
    return False


def zeros(model):
    import numpy

    columns = attribute(model, "feature_names_in_")
    width = json_or_none(attribute(model, "n_features_in_"))
    rows = numpy.zeros((1, width if isinstance(width, int) else 1 if columns is None else len(columns)))
    if columns is None:
        return rows
    import pandas

    return pandas.DataFrame(rows, columns=list(columns))


def attribute(model, name):
    # Properties of unfitted or delegating estimators raise more than AttributeError.
    try:
        return getattr(model, name, None)
    except Exception:
        return None


def json_or_none(value):
    """`value` as JSON types; None if it has none."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    elif isinstance(value, (list, tuple)):
        value = [item.tolist() if hasattr(item, "tolist") else item for item in value]
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return None
    return value
