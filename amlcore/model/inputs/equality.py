"""When two results of a model count as equal."""

from __future__ import annotations

from typing import Any

TOLERANCE = 1e-9
"""Relative, for each number by itself, however small it is."""


class Different(Exception):  # noqa: N818 - an outcome, not an error
    """Two results that differ; the message says where."""


def by_row(result: Any) -> Any:
    """A result as one array of shape (n_rows, …); the outputs in a list are put side by side."""
    import numpy as np

    if not isinstance(result, list) or not all(hasattr(output, "ndim") for output in result):
        return np.asarray(result.toarray() if hasattr(result, "toarray") else result)
    # side by side, since one output may have more classes than another
    return np.concatenate([np.reshape(output, (len(output), -1)) for output in result], axis=1)


def require_equal(actual: Any, expected: Any, what: str) -> None:
    """Raise Different, which begins with `what`, unless all labels are the same and all numbers within TOLERANCE."""
    import numpy as np

    actual = by_row(actual)
    if actual.shape != expected.shape:
        raise Different(f"{what}: its shape is {actual.shape}, not {expected.shape}")
    if expected.dtype.kind != "f":
        if actual.dtype.kind != expected.dtype.kind or not (actual == expected).all():
            raise Different(f"{what}: another label")
        return
    if not np.allclose(actual, expected, rtol=TOLERANCE, atol=0.0, equal_nan=True):
        apart = np.nan_to_num(np.abs(actual - expected) / np.abs(expected), nan=np.inf)
        apart[(actual == expected) | (np.isnan(actual) & np.isnan(expected))] = 0.0
        place = np.unravel_index(apart.argmax(), apart.shape)
        raise Different(f"{what}: off by {apart[place]:.2g} of {expected[place]:.3g}")
