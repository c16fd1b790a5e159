"""Azure ML's expressions for a search space, with bounds as Azure ML reads them.

Sources: azureml.train.hyperdrive.parameter_expressions (v1) and the sweepJob schema (v2).
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from typing import Any

from amlcore.errors import ConfigError, must_be, suggest
from amlcore.sweep.dimension import Dimension


def _choice(*values: Any) -> Dimension:
    return Dimension.of(values[0] if len(values) == 1 and isinstance(values[0], list) else values)


def _randint(upper: int) -> Dimension:
    return Dimension.between(0, int(upper) - 1)


def _uniform(min_value: float, max_value: float) -> Dimension:
    return Dimension.between(float(min_value), float(max_value))


def _quniform(min_value: float, max_value: float, q: float) -> Dimension:
    return _quantized(_uniform(min_value, max_value), q)


def _loguniform(min_value: float, max_value: float) -> Dimension:
    return Dimension.between(math.exp(min_value), math.exp(max_value), log=True)


def _qloguniform(min_value: float, max_value: float, q: float) -> Dimension:
    return _quantized(_loguniform(min_value, max_value), q)


def _normal(mu: float, sigma: float) -> Dimension:
    return Dimension.gaussian(mu, sigma)


def _qnormal(mu: float, sigma: float, q: float) -> Dimension:
    return Dimension.gaussian(mu, sigma, quantum=q)


def _lognormal(mu: float, sigma: float) -> Dimension:
    return Dimension.gaussian(mu, sigma, exponential=True)


def _qlognormal(mu: float, sigma: float, q: float) -> Dimension:
    return Dimension.gaussian(mu, sigma, exponential=True, quantum=q)


def _quantized(dimension: Dimension, q: float) -> Dimension:
    return Dimension(dimension.kind, low=dimension.low, high=dimension.high, log=dimension.log, quantum=q)


Make = Callable[..., Dimension]
NAMES: dict[str, tuple[Make, tuple[str, ...]]] = {
    "choice": (_choice, ("values",)),
    "randint": (_randint, ("upper",)),
    "uniform": (_uniform, ("min_value", "max_value")),
    "quniform": (_quniform, ("min_value", "max_value", "q")),
    "loguniform": (_loguniform, ("min_value", "max_value")),
    "qloguniform": (_qloguniform, ("min_value", "max_value", "q")),
    "normal": (_normal, ("mu", "sigma")),
    "qnormal": (_qnormal, ("mu", "sigma", "q")),
    "lognormal": (_lognormal, ("mu", "sigma")),
    "qlognormal": (_qlognormal, ("mu", "sigma", "q")),
}
"""Each of Azure ML's functions, with v2's names for its parameters in v1's order."""


def dimension_of_mapping(expression: Mapping[str, Any]) -> Dimension:
    """The dimension of v2's form, {type: uniform, min_value: 0.5, max_value: 1}."""
    name = str(expression.get("type"))
    if name not in NAMES:
        raise ConfigError(f"type {name}: {must_be(name, NAMES)}")
    make, parameters = NAMES[name]
    arguments = {key: value for key, value in expression.items() if key != "type"}
    for key in arguments:
        if key not in parameters:
            raise ConfigError(f"{name} has no {key}; {suggest(key, parameters)}")
    for parameter in parameters:
        if parameter not in arguments:
            raise ConfigError(f"{name} needs {' and '.join(parameters)}; {parameter} is missing")
    return _build(name, make, [arguments[parameter] for parameter in parameters])


def is_call(expression: str) -> bool:
    """Whether `expression` is v1's form of a function that Hydra does not have, such as uniform(0.5, 1)."""
    name, parenthesis, _ = expression.partition("(")
    return bool(parenthesis) and name.strip() in NAMES.keys() - {"choice"}


def dimension_of_call(expression: str) -> Dimension:
    """The dimension of v1's form, uniform(0.5, 1)."""
    name = expression.partition("(")[0].strip()
    make, parameters = NAMES[name]
    try:
        call = ast.parse(expression.strip(), mode="eval").body
        assert isinstance(call, ast.Call)
        by_name = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
        values = [ast.literal_eval(argument) for argument in call.args]
        values += [by_name.pop(parameter) for parameter in parameters[len(values) :]]
    except (SyntaxError, ValueError, AssertionError, KeyError):
        raise ConfigError(f"cannot parse '{expression}'; write {name}({', '.join(parameters)})") from None
    if by_name or len(values) > len(parameters):
        raise ConfigError(f"'{expression}' has too many arguments; write {name}({', '.join(parameters)})")
    return _build(name, make, values)


def _build(name: str, make: Make, values: list[Any]) -> Dimension:
    if name != "choice":
        for value in values:
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ConfigError(f"{name}: {value!r} is not a number")
    return make(*values)
