"""A condition on metrics of a version and of others of the same model, compared as the numbers were written."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Context, Decimal, localcontext
from typing import Any

from amlcore.errors import suggest
from amlcore.model.condition_parser import (
    And,
    Arithmetic,
    Comparison,
    ConditionError,
    Expression,
    Metric,
    Negative,
    Not,
    Number,
    Or,
    parse,
    pointing,
)
from amlcore.model.model import Model
from amlcore.model.reference import CANDIDATE, LATEST
from amlcore.record.record import strict

_PRECISE = Context(prec=60, traps=[])  # no traps: what has no value is NaN
_COMPARE = {
    **{"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge},
    **{"==": operator.eq, "!=": operator.ne},
}
_FAILED = {"<": "not less than", "<=": "greater than", ">": "not greater than", ">=": "less than"}
_FAILED |= {"==": "not equal to", "!=": "equal to"}
_CALCULATE = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
_VERSION = re.compile(r"[vV]([0-9]+)")


@dataclass(frozen=True)
class MetricValue:
    """A metric that a condition names, and its value."""

    name: str  # as written
    model: str  # NAME:VERSION
    metric: str
    value: float

    def __str__(self) -> str:
        return f"{self.name} is {self.value:.12g} ({self.model})"


@dataclass(frozen=True)
class Compared:
    """A comparison and what became of it: None if a side has no value yet, or is not a number."""

    text: str
    left: float | None
    operator: str
    right: float | None
    holds: bool | None

    def __str__(self) -> str:
        if self.left is None or self.right is None:
            return f"{self.text}: there is nothing to compare with yet"
        left, right = f"{self.left:.12g}", f"{self.right:.12g}"
        if self.holds is None:
            return f"{self.text}: {left} and {right} cannot be compared"
        return f"{self.text}: " + (f"{left} {self.operator} {right}" if self.holds else self._failure(left, right))

    def _failure(self, left: str, right: str) -> str:
        return f"{left} is {_FAILED[self.operator]} {right}"


@dataclass
class Verdict:
    """What a condition says, and all that it compared.

    `holds` is None if it needs the target of the promotion, which no version has yet: then nothing speaks against it.
    """

    text: str
    holds: bool | None
    comparisons: list[Compared] = field(default_factory=list)
    values: list[MetricValue] = field(default_factory=list)
    undefined: str | None = None  # what is not a number, so that the condition cannot be decided

    def to_json(self) -> dict[str, Any]:
        document: dict[str, Any] = strict(asdict(self))
        return document


@dataclass(frozen=True)
class Versions:
    """The versions whose metrics a condition may name."""

    candidate: Model
    target: str  # the alias that is to be moved, and which may not be set yet
    aliases: Mapping[str, int]
    numbers: Sequence[int]  # of the versions that exist

    def load(self, number: int) -> Model:
        """The version `number`, which exists; raises ModelError if it is damaged."""
        return Model.load_record(self.candidate.folder.parent / str(number))


def evaluate(text: str, versions: Versions) -> Verdict:
    """Compare what the condition `text` names.

    Raises
    ------
    ConditionError
        It is not a condition, or names an alias, a version or a metric that does not exist.
    """
    return _Evaluation(text, versions).verdict()


class _UnsetError(Exception):
    """The target of the promotion is not set yet."""


class _Evaluation:
    def __init__(self, source: str, versions: Versions) -> None:
        self._source = source
        self._versions = versions
        self._comparisons: list[Compared] = []
        self._values: dict[str, MetricValue] = {}
        self._undefined: str | None = None

    def verdict(self) -> Verdict:
        expression = parse(self._source)
        with localcontext(_PRECISE):
            holds = self._holds(expression)
        return Verdict(
            self._source,
            False if self._undefined else holds,
            self._comparisons,
            list(self._values.values()),
            self._undefined,
        )

    def _holds(self, expression: Expression) -> bool | None:
        """Whether it holds; None if that depends on a version that does not exist yet. Nothing is skipped."""
        match expression:
            case Not(operand):
                holds = self._holds(operand)
                return None if holds is None else not holds
            case And(operands):
                return _all([self._holds(operand) for operand in operands])
            case Or(operands):
                return _not(_all([_not(self._holds(operand)) for operand in operands]))
            case Comparison():
                return self._compare(expression)
        raise AssertionError(expression)  # the parser allows no number here

    def _compare(self, comparison: Comparison) -> bool | None:
        text = self._source[slice(*comparison.span)]
        left, right = self._side(comparison.left), self._side(comparison.right)
        holds = None
        if left is not None and right is not None:
            holds = None if left.is_nan() or right.is_nan() else _COMPARE[comparison.operator](left, right)
        self._comparisons.append(Compared(text, _float(left), comparison.operator, _float(right), holds))
        return holds

    def _side(self, expression: Expression) -> Decimal | None:
        """The value of a side of a comparison; None if it needs what is not set yet."""
        try:
            value = self._value(expression)
        except _UnsetError:
            return None
        if value.is_nan() and self._undefined is None:
            self._undefined = self._source[slice(*expression.span)]
        return value

    def _value(self, expression: Expression) -> Decimal:
        match expression:
            case Number(value):
                return value
            case Negative(operand):
                return -self._value(operand)
            case Arithmetic(name, left, right):
                first, second = self._both(left, right)
                return Decimal("NaN") if name == "/" and second == 0 else _CALCULATE[name](first, second)
            case Metric():
                return self._metric(expression)
        raise AssertionError(expression)  # the parser allows no condition here

    def _both(self, left: Expression, right: Expression) -> tuple[Decimal, Decimal]:
        """Both values; each is looked up, also if the first is not set yet, so that no wrong name goes unnoticed."""
        try:
            first = self._value(left)
        except _UnsetError:
            self._value(right)
            raise
        return first, self._value(right)

    def _metric(self, metric: Metric) -> Decimal:
        model, name = self._owner(metric)
        text = self._source[slice(*metric.span)]
        if model is None:
            raise _UnsetError
        if name not in model.metrics:
            raise self._error(f"{model.id} has no metric '{name}'; {_hint(name, model.metrics)}", metric)
        value = _decimal(model.metrics[name])
        if value is None:
            kind = type(model.metrics[name]).__name__
            raise self._error(f"metric '{name}' of {model.id} must be a number, not a {kind}", metric)
        self._values[text] = MetricValue(text, model.id, name, float(value))
        return value

    def _owner(self, metric: Metric) -> tuple[Model | None, str]:
        """The version whose metric is meant, and the name of the metric; None if the target is not set yet."""
        first, rest, whole = metric.parts[0], ".".join(metric.parts[1:]), ".".join(metric.parts)
        candidate, versions = self._versions.candidate, self._versions
        if not rest:
            return candidate, whole
        is_version = first in (CANDIDATE, LATEST, versions.target) or first in versions.aliases
        if not is_version and not _VERSION.fullmatch(first):
            if whole in candidate.metrics:
                return candidate, whole
            names = [CANDIDATE, LATEST, *versions.aliases]
            raise self._error(f"model '{candidate.name}' has no alias '{first}'; {suggest(first, names)}", metric)
        if whole in candidate.metrics and not metric.is_quoted:
            raise self._error(
                f"both {candidate.id} has a metric '{whole}', and '{first}' names a version; write \"{whole}\" or "
                f'{first}."{rest}"',
                metric,
            )
        return self._version(first, metric), rest

    def _version(self, name: str, metric: Metric) -> Model | None:
        versions = self._versions
        if name == CANDIDATE:
            return versions.candidate
        if name == LATEST:
            return versions.load(max(versions.numbers))
        if (match := _VERSION.fullmatch(name)) is not None:
            number: int | None = int(match[1])
        else:
            number = versions.aliases.get(name)
        if number is None:  # only the target may be unset
            return None
        if number not in versions.numbers:
            existing = ", ".join(f"v{version}" for version in versions.numbers)
            model = versions.candidate.name
            raise self._error(f"model '{model}' has no version {number}; available: {existing}", metric)
        return versions.load(number)

    def _error(self, message: str, metric: Metric) -> ConditionError:
        return pointing(message, self._source, metric.span[0])


def _all(values: Sequence[bool | None]) -> bool | None:
    """Whether all hold; None if none is false and one is not known."""
    return False if False in values else None if None in values else True


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _decimal(value: Any) -> Decimal | None:
    """A metric as it was written, with the text that strict JSON has for NaN and the infinities; None if no number."""
    if isinstance(value, str):
        return Decimal(value) if value in ("NaN", "Infinity", "-Infinity") else None
    if isinstance(value, bool):
        return Decimal(int(value))
    return Decimal(repr(value)) if isinstance(value, (int, float)) else None


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _hint(name: str, metrics: Mapping[str, Any]) -> str:
    """What metrics there are; one with an operator in its name needs quotes."""
    if not metrics:
        return "it has no metrics"
    quoted = sorted(other for other in metrics if re.match(re.escape(name) + r"[^\w.]", other))
    return f'did you mean "{quoted[0]}", in double quotes?' if quoted else suggest(name, metrics)
