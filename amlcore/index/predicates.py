"""Predicates: the tree of a filter as a function that says whether a row matches.

A comparison with a value that a run does not have is never true, not even with !=; `not` turns its operand around.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Collection
from typing import Any

from amlcore.errors import must_be
from amlcore.index.lexer import FilterError, pointing
from amlcore.index.moments import Span, duration_s, span
from amlcore.index.row import RunRow
from amlcore.index.row_columns import PRUNED, ColumnType, column_of
from amlcore.index.syntax import And, Expression, FilterValue, Not, Term
from amlcore.record.status import RunState
from amlcore.worker.values import text

Predicate = Callable[[RunRow], bool]
Test = Callable[[Any], bool]
"""Says whether a value of a column, which is not None, matches."""

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?inf(?:inity)?|nan", re.IGNORECASE)
_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}
_ORDERINGS = ("<", "<=", ">", ">=")


def number_of(value: Any) -> int | float | None:
    """The number that `value` is, or reads as; None if it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return value
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        return None
    try:
        return int(value)
    except ValueError:
        return float(value)


def compile_filter(expression: Expression, *, source: str, rows: Collection[RunRow]) -> Predicate:
    """The predicate of a filter; its names mean what they mean in `rows`.

    Raises
    ------
    FilterError
        It compares what cannot be compared; the message points at the place in `source`.
    """
    if isinstance(expression, Term):
        return _Compiler(expression, source, rows).predicate()
    if isinstance(expression, Not):
        operand = compile_filter(expression.operand, source=source, rows=rows)
        return lambda row: not operand(row)
    operands = [compile_filter(operand, source=source, rows=rows) for operand in expression.operands]
    if isinstance(expression, And):
        return lambda row: all(operand(row) for operand in operands)
    return lambda row: any(operand(row) for operand in operands)


class _Compiler:
    """One comparison."""

    def __init__(self, term: Term, source: str, rows: Collection[RunRow]) -> None:
        self._term = term
        self._source = source
        try:
            self._column = column_of(term.name, rows)
        except FilterError as error:
            raise pointing(str(error), source, term.name.place) from None

    def predicate(self) -> Predicate:
        get, operator = self._column.get, self._term.operator
        if operator == "null":
            return lambda row: get(row) is None
        test = self._test()

        def predicate(row: RunRow) -> bool:
            value = get(row)
            return value is not None and test(value)

        return predicate

    def _test(self) -> Test:
        operator, values = self._term.operator, self._term.values
        if operator == "in":
            equal = [self._equal(value) for value in values]
            return lambda value: any(test(value) for test in equal)
        if operator == "=":
            return self._equal(values[0])
        if operator == "!=":
            equal_one = self._equal(values[0])
            return lambda value: not equal_one(value)
        if operator in _ORDERINGS:
            return self._ordered(operator, values[0])
        return self._matching(operator, values[0])

    def _error(self, message: str, place: int) -> FilterError:
        return pointing(message, self._source, place)

    def _equal(self, literal: FilterValue) -> Test:
        match self._column.type:
            case ColumnType.value:
                return _equal_value(literal)
            case ColumnType.text if self._column.name == "model":
                return lambda value: literal.text in (value, value.rpartition(":")[0])
            case ColumnType.text:
                return lambda value: bool(value == literal.text)
            case ColumnType.choice:
                return self._equal_choice(literal)
            case ColumnType.boolean:
                is_true = self._boolean(literal)
                return lambda value: value is is_true
        meant = self._span(literal)
        if meant.start == meant.end:
            return lambda value: bool(value == meant.start)
        return lambda value: bool(meant.start <= value < meant.end)

    def _equal_choice(self, literal: FilterValue) -> Test:
        by_lower = {choice.lower(): str(choice) for choice in self._column.choices}
        choice = by_lower.get(literal.text.lower())
        if choice is None:
            expected = must_be(literal.text, map(str, self._column.choices))
            raise self._error(f"{self._column.name} '{literal.text}': {expected}", literal.place)
        if choice == RunState.Canceled:  # a pruned trial is shown as Pruned, but its state is Canceled
            return lambda value: value in (RunState.Canceled, PRUNED)
        return lambda value: bool(value == choice)

    def _boolean(self, literal: FilterValue) -> bool:
        value = _BOOLEANS.get(literal.text.lower())
        if value is None:
            raise self._error(f"{self._column.name} must be true or false, not '{literal.text}'", literal.place)
        return value

    def _ordered(self, operator: str, literal: FilterValue) -> Test:
        column = self._column
        match column.type:
            case ColumnType.value:
                return self._ordered_value(operator, literal)
            case ColumnType.text:
                return _order(operator, literal.text)
            case ColumnType.choice | ColumnType.boolean:
                raise self._error(f"{column.name} has no order; compare it with = or !=", self._term.place)
        return _span_order(operator, self._span(literal))

    def _ordered_value(self, operator: str, literal: FilterValue) -> Test:
        limit = number_of(literal.text)
        if limit is None and not literal.is_quoted:
            expected = f"{operator} needs a number, or a text in quotes, not {literal.text}"
            raise self._error(expected, literal.place)
        numbers = None if limit is None else _order(operator, limit)
        texts = _order(operator, literal.text)

        def test(value: Any) -> bool:
            if literal.is_quoted and isinstance(value, str):
                return texts(value)
            number = number_of(value)
            return number is not None and numbers is not None and numbers(number)

        return test

    def _span(self, literal: FilterValue) -> Span:
        """What is written of a number, a duration or a moment."""
        column = self._column
        if column.type is ColumnType.moment:
            meant = span(literal.text, now_s=time.time())
            expected = "a time such as 7d (seven days ago), today, 2026-01-31 or 2026-01-31T18:30"
        else:
            seconds = duration_s(literal.text) if column.type is ColumnType.duration else number_of(literal.text)
            meant = None if seconds is None else Span(seconds, seconds)
            expected = "a duration such as 90s, 2h or 1h30m" if column.type is ColumnType.duration else "a number"
        if meant is None:
            raise self._error(f"{column.name} is {expected}, not '{literal.text}'", literal.place)
        return meant

    def _matching(self, operator: str, literal: FilterValue) -> Test:
        column = self._column
        if column.type not in (ColumnType.value, ColumnType.text, ColumnType.choice):
            raise self._error(f"{column.name} is not text, so {operator} does not apply", self._term.place)
        if operator == "~":
            try:
                pattern = re.compile(literal.text)
            except re.error as error:
                place = literal.place + literal.is_quoted + (error.pos or 0)
                raise self._error(f"not a regular expression: {error.msg}", place) from None
            return lambda value: pattern.search(_text(value)) is not None
        flags = re.DOTALL | (re.IGNORECASE if operator == "ilike" else 0)
        parts = {"%": ".*", "_": "."}
        wildcard = re.compile("".join(parts.get(letter) or re.escape(letter) for letter in literal.text), flags)
        return lambda value: wildcard.fullmatch(_text(value)) is not None


def _equal_value(literal: FilterValue) -> Test:
    number = None if literal.is_quoted else number_of(literal.text)
    boolean = None if literal.is_quoted else {"true": True, "false": False}.get(literal.text.lower())

    def test(value: Any) -> bool:
        if number is not None:
            other = number_of(value)
            return other is not None and (other == number or (_is_nan(other) and _is_nan(number)))
        if boolean is not None:
            return value is boolean or (isinstance(value, str) and value.lower() == literal.text.lower())
        return _text(value) == literal.text

    return test


def _is_nan(number: float) -> bool:
    return isinstance(number, float) and math.isnan(number)


def _text(value: Any) -> str:
    """A value as it was written, and as tables show it."""
    return value if isinstance(value, str) else text(value)


def _order(operator: str, limit: Any) -> Test:
    tests: dict[str, Test] = {
        "<": lambda value: value < limit,
        "<=": lambda value: value <= limit,
        ">": lambda value: value > limit,
        ">=": lambda value: value >= limit,
    }
    return tests[operator]


def _span_order(operator: str, meant: Span) -> Test:
    """Of a day as of a moment: < is before it, > after it."""
    if meant.start == meant.end:
        return _order(operator, meant.start)
    tests: dict[str, Test] = {
        "<": lambda value: value < meant.start,
        "<=": lambda value: value < meant.end,
        ">": lambda value: value >= meant.end,
        ">=": lambda value: value >= meant.start,
    }
    return tests[operator]
