"""The Dimension: what one parameter of a sweep may be, and how a drawn value becomes its own."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from amlcore.errors import ConfigError
from amlcore.worker.values import text

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

TAIL = 1e-6
"""A normal distribution is drawn from this quantile to its mirror image, 4.75 sigma on each side."""


class Kind(StrEnum):
    """The distributions of Optuna."""

    choice = "choice"
    int = "int"
    float = "float"


@dataclass(frozen=True)
class Normal:
    """A normal distribution, which Optuna lacks: its quantile is what is drawn."""

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
        There are none, one stands there twice, or the logarithm of a bound does not exist; the message lacks the key.
    """

    kind: Kind
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0  # included
    step: float | None = None
    log: bool = False
    normal: Normal | None = None  # what is drawn is its quantile
    exponential: bool = False  # the value is e to the power of what is drawn
    quantum: float | None = None  # the value is rounded to a multiple of it
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)  # exists only where these have one of these

    def __post_init__(self) -> None:
        if self.kind is Kind.choice:
            self._check_choices()
            return
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ConfigError(f"its bounds {self.low} and {self.high} must be finite")
        if self.low > self.high:
            raise ConfigError(f"there is nothing between {self.low:g} and {self.high:g}")
        if self.log and self.low <= 0:
            raise ConfigError(f"a log scale cannot begin at {self.low:g}; it must be above 0")
        if self.log and self.step is not None and (self.step != 1 or self.kind is Kind.float):
            raise ConfigError(
                f"a log scale has no steps of {self.step:g}: write tag(log,interval({self.low:g},{self.high:g})), "
                "and int(…) around it for whole numbers"
            )
        if self.step is not None and self.step <= 0:
            raise ConfigError(f"its step {self.step:g} must be above 0")
        if self.quantum is not None and self.quantum <= 0:
            raise ConfigError(f"q={self.quantum:g} must be above 0")
        if self.normal is not None and self.normal.sigma <= 0:
            raise ConfigError(f"sigma={self.normal.sigma:g} must be above 0")

    @classmethod
    def of(cls, values: Any) -> Dimension:
        """One of `values`."""
        return cls(Kind.choice, choices=tuple(values))

    @classmethod
    def between(cls, low: float, high: float, *, step: float | None = None, log: bool = False) -> Dimension:
        """A number from `low` to `high`, both included: whole where all that is given is."""
        whole = all(isinstance(number, int) for number in (low, high, step) if number is not None)
        if step is not None and low <= high and step > 0:
            # As Optuna would adjust it with a warning.
            last = _last(low, high, step)
            high = int(last) if whole else float(last)
        return cls(Kind.int if whole else Kind.float, low=low, high=high, step=step, log=log)

    @classmethod
    def stepping(cls, start: float, end: float, *, step: float, log: bool = False) -> Dimension:
        """The numbers from `start` in steps towards `end`, which is included; downwards where the step is below 0."""
        if step >= 0:
            return cls.between(start, end, step=step, log=log)
        if start < end:
            raise ConfigError(f"there is nothing from {start:g} down to {end:g}")
        last = _last(start, end, step)
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
        """What Optuna draws from."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.kind is Kind.choice:
            return CategoricalDistribution(self.encoded)
        if self.kind is Kind.int:
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a last step that binary fractions miss by a hair
            return FloatDistribution(float(self.low), float(self.high), log=self.log, step=self.step)

    @cached_property
    def encoded(self) -> list[Any]:
        """The choices as Optuna can tell them apart and keep them: as JSON, unless all are plain text."""
        if all(isinstance(choice, str) for choice in self.choices):
            return list(self.choices)
        return [identity(choice) for choice in self.choices]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {identity(choice): place for place, choice in enumerate(self.choices)}

    @cached_property
    def _places_encoded(self) -> dict[Any, int]:
        return {encoded: place for place, encoded in enumerate(self.encoded)}

    def index(self, choice: Any) -> int:
        """The place of a choice, told from the others by what was written: 1 is neither 1.0 nor true.

        Raises
        ------
        ValueError
            There is none like it.
        """
        try:
            return self._places[identity(choice)]
        except KeyError:
            raise ValueError(f"{text(choice)} is not one of the choices") from None

    def is_among(self, value: Any, allowed: Sequence[Any]) -> bool:
        """Whether a value of this dimension is one of those that a condition names."""
        if self.kind is Kind.choice:
            return identity(value) in map(identity, allowed)
        return any(value == _number(one) for one in allowed)

    def draw(self, name: str, trial: Trial) -> Any:
        """The parameter's value in `trial`."""
        if self.kind is Kind.choice:
            return self.value(trial.suggest_categorical(name, self.encoded))
        if self.kind is Kind.int:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return self.value(trial.suggest_float(name, self.low, self.high, log=self.log, step=self.step))

    def value(self, drawn: Any) -> Any:
        """The value that a number or a choice drawn by Optuna stands for."""
        if self.kind is Kind.choice:
            return self.choices[self._places_encoded[drawn]]
        if self.kind is Kind.float and self.step is not None:
            return _on_step(drawn, first=self.low, step=self.step)
        value = drawn if self.normal is None else self.normal.at(drawn)
        value = math.exp(value) if self.exponential else value
        if self.quantum is not None:
            return _rounded(value, self.quantum)
        return value if self.kind is Kind.int else value + 0.0  # -0.0 is 0.0

    def with_condition(self, when: Mapping[str, tuple[Any, ...]]) -> Dimension:
        return replace(self, when=dict(when))

    @property
    def ends(self) -> list[Any]:
        """Values that stand for all of them when it is checked whether the schema takes them."""
        if self.kind is Kind.choice:
            return list(self.choices)
        return [self.value(self.distribution.to_external_repr(bound)) for bound in (self.low, self.high)]

    def describe(self) -> str:
        """The dimension in words, for --dry-run."""
        if self.kind is Kind.choice:
            said = "one of " + ", ".join(map(text, self.choices))
        elif self.normal is not None:
            said = f"{'e^' if self.exponential else ''}normal({self.normal.mu:g}, {self.normal.sigma:g})"
        else:
            scale = ", on a log scale" if self.log else ""
            step = (
                f" in steps of {self.step:g}" if self.step is not None and (self.step, self.kind) != (1, "int") else ""
            )
            said = f"{self.kind} from {self.low:.6g} to {self.high:.6g}{step}{scale}"
        said += f", rounded to multiples of {self.quantum:g}" if self.quantum is not None else ""
        clauses = [f"{key} is {' or '.join(map(text, values))}" for key, values in self.when.items()]
        return f"{said}, where {' and '.join(clauses)}" if clauses else said

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Dimension:
        normal = None if value["normal"] is None else Normal(**value["normal"])
        when = {key: tuple(values) for key, values in value["when"].items()}
        known = {"kind": Kind(value["kind"]), "choices": tuple(value["choices"]), "normal": normal, "when": when}
        return cls(**{**value, **known})

    def _check_choices(self) -> None:
        if not self.choices:
            raise ConfigError("there is nothing to choose from")
        seen = set()
        for choice in self.choices:
            if identity(choice) in seen:
                raise ConfigError(f"the choice {choice!r} stands there twice")
            seen.add(identity(choice))


def identity(value: Any) -> str:
    """What tells a value from others: its type and its text. To Python, 1, 1.0 and True are equal."""
    return json.dumps(value)


def steps(start: float, end: float, step: float) -> Iterator[float]:
    """The numbers from `start` in steps towards `end`, which is left out; by decimals, so that 3 * 0.1 is 0.3."""
    if step == 0:
        raise ConfigError("its step must not be 0")
    if all(isinstance(number, int) for number in (start, end, step)):
        yield from range(int(start), int(end), int(step))
        return
    number, last, by = Decimal(str(start)), Decimal(str(end)), Decimal(str(step))
    while number < last if by > 0 else number > last:
        yield float(number) + 0.0  # -0.0 is 0.0
        number += by


def _last(start: float, end: float, step: float) -> Decimal:
    """The last number that the steps reach; by decimals, so that 3 * 0.1 is 0.3."""
    first, by = Decimal(str(start)), Decimal(str(step))
    return first + (Decimal(str(end)) - first) // by * by


def _on_step(value: float, *, first: float, step: float) -> float:
    """The number that a step reaches, without the noise of binary fractions."""
    return float(Decimal(str(first)) + round((value - first) / step) * Decimal(str(step))) + 0.0


def _number(value: Any) -> Any:
    """A number that was written with more digits than it needs, and so kept as text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _rounded(value: float, quantum: float) -> float:
    # By decimals, so that 3 * 0.1 is 0.3.
    steps = round(value / quantum)
    # A script that takes whole numbers takes no 4.0.
    return quantum * steps if isinstance(quantum, int) else float(Decimal(str(quantum)) * steps)
