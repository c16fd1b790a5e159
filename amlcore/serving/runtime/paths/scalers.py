"""Scalers, with the same operations in the same order as scikit-learn, so that every bit is the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Step = Callable[[Any], Any]


def standard(scaler: Any) -> Step:
    return _shift_and_divide(
        scaler.mean_ if scaler.with_mean else None,
        scaler.scale_ if scaler.with_std else None,
    )


def robust(scaler: Any) -> Step:
    return _shift_and_divide(
        scaler.center_ if scaler.with_centering else None,
        scaler.scale_ if scaler.with_scaling else None,
    )


def max_abs(scaler: Any) -> Step:
    divide = _shift_and_divide(None, scaler.scale_)
    return (lambda matrix: np.clip(divide(matrix), -1.0, 1.0)) if getattr(scaler, "clip", False) else divide


def min_max(scaler: Any) -> Step:
    scale, least, clip = scaler.scale_, scaler.min_, scaler.clip
    low, high = scaler.feature_range

    def rescale(matrix: Any) -> Any:
        matrix = matrix * scale
        matrix += least
        return np.clip(matrix, low, high) if clip else matrix

    return rescale


def _shift_and_divide(shift: Any, scale: Any) -> Step:
    if shift is None and scale is None:
        return lambda matrix: matrix
    if scale is None:
        return lambda matrix: matrix - shift
    if shift is None:
        return lambda matrix: matrix / scale

    def rescale(matrix: Any) -> Any:
        matrix = matrix - shift
        matrix /= scale
        return matrix

    return rescale


SCALERS = {"StandardScaler": standard, "RobustScaler": robust, "MaxAbsScaler": max_abs, "MinMaxScaler": min_max}
