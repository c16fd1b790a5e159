"""The Dimension: the values that a parameter of a sweep may take, and what a draw of Optuna's means."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from amlcore.errors import ConfigError
from amlcore.sweep.steps import Steps, last_number, on_step, rounded
from amlcore.worker.values import text

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

TAIL = 1e-6
"""A normal distribution is cut at this quantile and at its mirror image, 4.75 sigma on each side."""

SHOWN = 12
"""Of a longer list of choices, only the first and the last are shown."""


class Kind(StrEnum):
    """The distributions of Optuna."""

    choice = "choice"
    int = "int"
    float = "float"


@dataclass(frozen=True)
class Normal:
    """A normal distribution, which Optuna lacks: Optuna draws its quantile."""

    mu: float
    sigma: float

    def at(self, quantile: float) -> float:
        return NormalDist(self.mu, self.sigma).inv_cdf(quantile)


@dataclass(frozen=True)
class Dimension:
    """The values that one parameter may take.

    Raises
    ------
    ConfigError
        There are no values, one is listed twice, or a bound is not allowed; the message lacks the key.
    """

    kind: Kind
    choices: Sequence[Any] = ()  # a tuple; Steps for a range in a grid
    low: float = 0.0
    high: float = 0.0  # included
    step: float | None = None
    log: bool = False
    normal: Normal | None = None  # Optuna draws its quantile
    exponential: bool = False  # the value is e to the power of the draw
    quantum: float | None = None  # the value is rounded to a multiple of this
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)  # exists only if these keys have these values

    def __post_init__(self) -> None:
        if self.kind is Kind.choice:
            self._check_choices()
            return
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ConfigError(f"the bounds must be finite, not {self.low} and {self.high}")
        if self.low > self.high:
            raise ConfigError(f"the lower bound {self.low:g} is above the upper bound {self.high:g}")
        if self.log and self.low <= 0:
            raise ConfigError(f"a log scale must start above 0, not at {self.low:g}")
        if self.log and self.step is not None and (self.step != 1 or self.kind is Kind.float):
            raise ConfigError(
                f"a log scale cannot have steps of {self.step:g}; use tag(log,interval({self.low:g},{self.high:g})), "
                "or tag(log,int(interval(…))) for integers"
            )
        if self.step is not None and self.step <= 0:
            raise ConfigError(f"the step must be positive, not {self.step:g}")
        if self.quantum is not None and self.quantum <= 0:
            raise ConfigError(f"q must be positive, not {self.quantum:g}")
        if self.normal is not None and self.normal.sigma <= 0:
            raise ConfigError(f"sigma must be positive, not {self.normal.sigma:g}")

    @classmethod
    def of(cls, values: Any) -> Dimension:
        """One of `values`."""
        return cls(Kind.choice, choices=tuple(values))

    @classmethod
    def spaced(cls, start: float, stop: float, step: float) -> Dimension:
        """One of the numbers from `start` in steps towards `stop`, which is excluded."""
        return cls(Kind.choice, choices=Steps.before(start, stop, step))

    @classmethod
    def between(cls, low: float, high: float, *, step: float | None = None, log: bool = False) -> Dimension:
        """A number from `low` to `high`, both included; an integer if all arguments are integers."""
        whole = all(isinstance(number, int) for number in (low, high, step) if number is not None)
        if step is not None and low <= high and step > 0:
            # Optuna would do the same, with a warning.
            last = last_number(low, high, step)
            high = int(last) if whole else float(last)
        return cls(Kind.int if whole else Kind.float, low=low, high=high, step=step, log=log)

    @classmethod
    def stepping(cls, start: float, end: float, *, step: float, log: bool = False) -> Dimension:
        """The numbers from `start` in steps towards `end`, which is included; downwards if the step is negative."""
        if step >= 0:
            return cls.between(start, end, step=step, log=log)
        if start < end:
            raise ConfigError(f"a range with the negative step {step:g} must go down, not from {start:g} to {end:g}")
        last = last_number(start, end, step)
        whole = all(isinstance(number, int) for number in (start, end, step))
        return cls.between(int(last) if whole else float(last), start, step=-step, log=log)

    @classmethod
    def gaussian(cls, mu: float, sigma: float, *, exponential: bool = False, quantum: float | None = None) -> Dimension:
        return cls(
            Kind.float,
            low=TAIL,
            high=1 - TAIL,
            normal=Normal(float(mu), float(sigma)),
            exponential=exponential,
            quantum=quantum,
        )

    @property
    def distribution(self) -> BaseDistribution:
        """The distribution that Optuna draws from."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.kind is Kind.choice:
            return CategoricalDistribution(self.encoded)
        if self.kind is Kind.int:
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # binary fractions may miss the last step by a hair
            return FloatDistribution(float(self.low), float(self.high), log=self.log, step=self.step)

    @cached_property
    def encoded(self) -> list[Any]:
        """The choices in a form that Optuna can store and tell apart: as JSON, unless all are plain text."""
        if all(isinstance(choice, str) for choice in self.choices):
            return list(self.choices)
        return [typed_key(choice) for choice in self.choices]

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {typed_key(choice): index for index, choice in enumerate(self.choices)}

    @cached_property
    def _encoded_indices(self) -> dict[Any, int]:
        return {encoded: index for index, encoded in enumerate(self.encoded)}

    def index(self, choice: Any) -> int:
        """The index of a choice. Choices differ if they were typed differently: 1 is neither 1.0 nor true.

        Raises
        ------
        ValueError
            It is not one of the choices.
        """
        if isinstance(self.choices, Steps):
            return self.choices.index(choice)
        try:
            return self._indices[typed_key(choice)]
        except KeyError:
            raise ValueError(f"{text(choice)} is not one of the choices") from None

    def has(self, choice: Any) -> bool:
        """Whether `choice` is one of the choices."""
        try:
            self.index(choice)
        except ValueError:
            return False
        return True

    def places(self, allowed: Sequence[Any]) -> set[int]:
        """The indices, among all values of this dimension, of those that a condition names."""
        if self.kind is Kind.choice:
            return {self.index(value) for value in allowed}
        numbers = self.all_values or ()
        return {numbers.index(_number(one)) for one in allowed if _number(one) in numbers}

    def is_among(self, value: Any, allowed: Sequence[Any]) -> bool:
        """Whether `value` of this dimension is one of those that a condition names."""
        if self.kind is Kind.choice:
            return typed_key(value) in map(typed_key, allowed)
        return any(value == _number(one) for one in allowed)

    def draw(self, name: str, trial: Trial, *, by_place: bool = False) -> Any:
        """The parameter's value in `trial`; with `by_place`, the study stores the index of a choice, not the choice."""
        if self.kind is Kind.choice and by_place:
            return self.choices[trial.suggest_int(name, 0, len(self.choices) - 1)]
        if self.kind is Kind.choice:
            return self.value(trial.suggest_categorical(name, self.encoded))
        if self.kind is Kind.int:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return self.value(trial.suggest_float(name, self.low, self.high, log=self.log, step=self.step))

    def value(self, drawn: Any) -> Any:
        """The value that a draw of Optuna's stands for."""
        if self.kind is Kind.choice and isinstance(drawn, int):
            return self.choices[drawn]
        if self.kind is Kind.choice:
            return self.choices[self._encoded_indices[drawn]]
        if self.kind is Kind.float and self.step is not None:
            return on_step(drawn, first=self.low, step=self.step)
        value = drawn if self.normal is None else self.normal.at(drawn)
        value = math.exp(value) if self.exponential else value
        if self.quantum is not None:
            return rounded(value, self.quantum)
        return value if self.kind is Kind.int else value + 0.0  # -0.0 is 0.0

    def with_condition(self, when: Mapping[str, tuple[Any, ...]]) -> Dimension:
        return replace(self, when=dict(when))

    @property
    def all_values(self) -> Sequence[Any] | None:
        """All values of this dimension, in order; None if there are too many to count."""
        if self.kind is Kind.choice:
            return self.choices
        if self.normal is not None or self.exponential or self.quantum is not None:
            return None
        step = self.step if self.step is not None or self.kind is Kind.float else 1
        if step is None:
            return (self.low,) if self.low == self.high else None
        try:
            return Steps.through(self.low, self.high, step)
        except ConfigError:
            return None

    @property
    def ends(self) -> list[Any]:
        """Values that represent all others when the schema is checked."""
        if isinstance(self.choices, Steps):
            return [self.choices[0], self.choices[-1]]
        if self.kind is Kind.choice:
            return list(self.choices)
        return [self.value(self.distribution.to_external_repr(bound)) for bound in (self.low, self.high)]

    def describe(self) -> str:
        """The dimension in words, for --dry-run."""
        if self.kind is Kind.choice:
            description = f"one of {self._shown()}"
        elif self.normal is not None:
            description = f"{'e^' if self.exponential else ''}normal({self.normal.mu:g}, {self.normal.sigma:g})"
        else:
            scale = ", on a log scale" if self.log else ""
            step = (
                f" in steps of {self.step:g}" if self.step is not None and (self.step, self.kind) != (1, "int") else ""
            )
            description = f"{self.kind} from {self.low:.6g} to {self.high:.6g}{step}{scale}"
        description += f", rounded to multiples of {self.quantum:g}" if self.quantum is not None else ""
        clauses = [f"{key} is {' or '.join(map(text, values))}" for key, values in self.when.items()]
        return f"{description}, if {' and '.join(clauses)}" if clauses else description

    def _shown(self) -> str:
        count = len(self.choices)
        if count <= SHOWN:
            return ", ".join(map(text, self.choices))
        first, second, last = map(text, (self.choices[0], self.choices[1], self.choices[-1]))
        return f"{count}: {first}, {second}, …, {last}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Dimension:
        normal = None if value["normal"] is None else Normal(**value["normal"])
        when = {key: tuple(values) for key, values in value["when"].items()}
        choices = value["choices"]
        choices = Steps(**choices) if isinstance(choices, dict) else tuple(choices)
        parsed = {"kind": Kind(value["kind"]), "choices": choices, "normal": normal, "when": when}
        return cls(**{**value, **parsed})

    def _check_choices(self) -> None:
        if not self.choices:
            raise ConfigError("the list of choices is empty")
        if isinstance(self.choices, Steps):
            return
        seen = set()
        for choice in self.choices:
            if typed_key(choice) in seen:
                raise ConfigError(f"the choice {choice!r} is listed twice")
            seen.add(typed_key(choice))


def typed_key(value: Any) -> str:
    """A key that differs if values were typed differently; in Python, 1, 1.0 and True are equal."""
    return json.dumps(value)


def _number(value: Any) -> Any:
    """`value` as a number if it is the text of one: a number typed with redundant digits is kept as text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
