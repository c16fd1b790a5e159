"""The grammar of conditions on metrics, such as `accuracy >= champion.accuracy - 0.002`.

    condition  := all ("or" all)*
    all        := one ("and" one)*
    one        := "not" one | comparison
    comparison := sum (("<" | "<=" | ">" | ">=" | "==" | "=" | "!=") sum)*
    sum        := product (("+" | "-") product)*
    product    := factor (("*" | "/") factor)*
    factor     := "-" factor | number | metric | "(" condition ")"
    metric     := [version "."] name              a part in double quotes or backquotes may hold any character

A filter of runs has a lexer of its own, whose words hold `-`, `/` and `+` as in `7d` and `2026-11-29`. Here they are
operators.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

from amlcore.errors import RequestError

COMPARES = ("<=", ">=", "==", "!=", "<", ">", "=")
_DEEPEST = 50  # of parentheses and signs within each other; the stack of Python ends above it
_TOKEN = re.compile(
    r"""
    (?P<number> (?: \d+\.?\d* | \.\d+ ) (?: [eE][-+]?\d+ )? )
    | (?P<metric> (?: [^\W\d]\w* | "[^"]+" | `[^`]+` ) (?: \. (?: \w+ | "[^"]+" | `[^`]+` ) )* )
    | (?P<operator> <= | >= | == | != | [-+*/()<>=] )
    | (?P<space> \s+ )
    """,
    re.VERBOSE,
)
_PART = re.compile(r"\w+|\"[^\"]+\"|`[^`]+`")
_WRITTEN_AS = {"&": "and", "|": "or", "!": "not", "%": "/ 100", "^": "*"}


class ConditionError(RequestError):
    """A condition that cannot be understood, or names what does not exist."""


@dataclass(frozen=True)
class Number:
    value: Decimal
    span: tuple[int, int]


@dataclass(frozen=True)
class Metric:
    """A metric by the parts of its name, the first of which may name a version."""

    parts: tuple[str, ...]
    is_quoted: bool  # a part of it is
    span: tuple[int, int]


@dataclass(frozen=True)
class Negative:
    operand: Expression
    span: tuple[int, int]


@dataclass(frozen=True)
class Arithmetic:
    operator: str
    left: Expression
    right: Expression
    span: tuple[int, int]


@dataclass(frozen=True)
class Comparison:
    operator: str
    left: Expression
    right: Expression
    span: tuple[int, int]


@dataclass(frozen=True)
class Not:
    operand: Expression
    span: tuple[int, int]


@dataclass(frozen=True)
class And:
    operands: tuple[Expression, ...]
    span: tuple[int, int]


@dataclass(frozen=True)
class Or:
    operands: tuple[Expression, ...]
    span: tuple[int, int]


Expression: TypeAlias = Number | Metric | Negative | Arithmetic | Comparison | Not | And | Or
CONDITIONS = (Comparison, Not, And, Or)


@dataclass(frozen=True)
class _Token:
    kind: str  # number, metric, operator or end
    text: str
    start: int
    end: int

    def is_word(self, word: str) -> bool:
        return self.kind == "metric" and self.text.lower() == word


def parse(source: str) -> Expression:
    """The tree of a condition.

    Raises
    ------
    ConditionError
        It is not one; the message points at the place.
    """
    return _Parser(source).parse()


def pointing(message: str, source: str, place: int) -> ConditionError:
    """An error whose second and third line show `source`, with a caret below `place`."""
    line = "".join(character if character.isprintable() else " " for character in source)
    return ConditionError(f"--if: {message}\n  {line}\n  {' ' * place}^")


def _tokens(source: str) -> Iterator[_Token]:
    place = 0
    while place < len(source):
        match = _TOKEN.match(source, place)
        if match is None:
            raise pointing(_stray(source[place]), source, place)
        if match.lastgroup != "space":
            yield _Token(str(match.lastgroup), match[0], place, match.end())
        place = match.end()
    yield _Token("end", "", len(source), len(source))


def _stray(character: str) -> str:
    if character in '"`':
        return f"the quote {character} is not closed, or nothing is in it"
    if character in _WRITTEN_AS:
        return f"'{character}' has no meaning here; write '{_WRITTEN_AS[character]}'"
    return f"{character!r} has no meaning here; a name with such a character needs double quotes"


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = list(_tokens(source))
        self._index = 0
        self._depth = 0

    def parse(self) -> Expression:
        if self._token.kind == "end":
            raise ConditionError("--if: the condition is empty; write one such as 'accuracy >= champion.accuracy'")
        expression = self._any()
        if self._token.kind != "end":
            raise self._unexpected("'and', 'or' or the end")
        self._check_condition(expression)
        return expression

    @property
    def _token(self) -> _Token:
        return self._tokens[self._index]

    def _any(self) -> Expression:
        operands = [self._all()]
        while self._takes_word("or"):
            operands.append(self._all())
        return self._joined(Or, operands)

    def _all(self) -> Expression:
        operands = [self._one()]
        while self._takes_word("and"):
            operands.append(self._one())
        return self._joined(And, operands)

    def _joined(self, form: type[And] | type[Or], operands: list[Expression]) -> Expression:
        if len(operands) == 1:
            return operands[0]
        for operand in operands:
            self._check_condition(operand)
        return form(tuple(operands), (operands[0].span[0], operands[-1].span[1]))

    def _one(self) -> Expression:
        start = self._token.start
        if not self._takes_word("not"):
            return self._comparison()
        with self._nested(start):
            operand = self._one()
        self._check_condition(operand)
        return Not(operand, (start, operand.span[1]))

    def _comparison(self) -> Expression:
        operands, operators = [self._sum()], []
        while (operator := self._takes(*COMPARES)) is not None:
            operators.append("==" if operator == "=" else operator)
            operands.append(self._sum())
        if not operators:
            return operands[0]
        for operand in operands:
            self._check_number(operand)
        pairs = zip(operators, operands[:-1], operands[1:], strict=True)
        comparisons: list[Expression] = [
            Comparison(operator, left, right, (left.span[0], right.span[1])) for operator, left, right in pairs
        ]
        return self._joined(And, comparisons)

    def _sum(self) -> Expression:
        return self._arithmetic(("+", "-"), self._product)

    def _product(self) -> Expression:
        return self._arithmetic(("*", "/"), self._factor)

    def _arithmetic(self, operators: tuple[str, ...], operand: Callable[[], Expression]) -> Expression:
        left = operand()
        while (operator := self._takes(*operators)) is not None:
            right = operand()
            self._check_number(left)
            self._check_number(right)
            left = Arithmetic(operator, left, right, (left.span[0], right.span[1]))
        return left

    def _factor(self) -> Expression:
        token = self._token
        if self._takes("-") is not None:
            with self._nested(token.start):
                operand = self._factor()
            self._check_number(operand)
            return Negative(operand, (token.start, operand.span[1]))
        if self._takes("(") is not None:
            with self._nested(token.start):
                expression = self._any()
            end = self._token.end
            if self._takes(")") is None:
                raise self._unexpected("')'")
            return replace(expression, span=(token.start, end))
        self._index += 1
        if token.kind == "number":
            return self._number(token)
        if token.kind == "metric" and token.text.lower() not in ("and", "or", "not"):
            parts = tuple(part.strip('"`') for part in _PART.findall(token.text))
            return Metric(parts, re.search('["`]', token.text) is not None, (token.start, token.end))
        self._index -= 1
        raise self._unexpected("a number or a metric")

    def _number(self, token: _Token) -> Number:
        if self._token.kind == "metric" and self._token.start == token.end:
            version = token.text.rstrip(".")
            hint = f"version {version} is written v{version}, as in v{version}.accuracy"
            raise pointing(f"'{token.text}' is a number; {hint}", self._source, token.start)
        try:
            return Number(Decimal(token.text), (token.start, token.end))
        except InvalidOperation:
            raise pointing(f"'{token.text}' is out of range", self._source, token.start) from None

    @contextmanager
    def _nested(self, place: int) -> Iterator[None]:
        """One level deeper, as long as the stack of Python allows."""
        if self._depth == _DEEPEST:
            raise pointing(f"more than {_DEEPEST} parentheses or signs within each other", self._source, place)
        self._depth += 1
        yield
        self._depth -= 1

    def _takes(self, *operators: str) -> str | None:
        token = self._token
        if token.kind != "operator" or token.text not in operators:
            return None
        self._index += 1
        return token.text

    def _takes_word(self, word: str) -> bool:
        if not self._token.is_word(word):
            return False
        self._index += 1
        return True

    def _unexpected(self, expected: str) -> ConditionError:
        token = self._token
        actual = "the condition ends" if token.kind == "end" else f"'{token.text}' is"
        return pointing(f"{actual} where {expected} should be", self._source, token.start)

    def _check_condition(self, expression: Expression) -> None:
        if not isinstance(expression, CONDITIONS):
            text = self._source[slice(*expression.span)]
            raise pointing(f"'{text}' compares nothing; write such as '{text} > 0.9'", self._source, expression.span[0])

    def _check_number(self, expression: Expression) -> None:
        if isinstance(expression, CONDITIONS):
            text = self._source[slice(*expression.span)]
            raise pointing(f"'{text}' is true or false, not a number", self._source, expression.span[0])
