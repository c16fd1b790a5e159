"""Literals: numbers and truth values together with their text, such as 2.30, 1e5 or yes."""

from __future__ import annotations

import re
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Quote, QuotedString, RangeSweep

from amlcore.config.grammar.scalars import ITEM, KeyPath, ScalarRule, scalar_rule
from amlcore.worker.values import positional, text

NEGATIVE_EXPONENT = re.compile(r"-[0-9._]+[eE][-+]?[0-9_]+")


class _Literal:
    """A value with the text that it was read from."""

    text: str

    def __str__(self) -> str:
        return self.text


class IntLiteral(_Literal, int):
    pass


class FloatLiteral(_Literal, float):
    pass


class BoolLiteral(_Literal, int):  # bool itself cannot be extended
    pass


KINDS: dict[type, Any] = {int: IntLiteral, float: FloatLiteral, bool: BoolLiteral}


def as_literal(value: Any, source: str) -> Any:
    """A number or truth value together with its text `source`; any other `value` unchanged."""
    if type(value) not in KINDS:
        return value
    literal = KINDS[type(value)](value)
    literal.text = source
    return literal


def lossless_text(value: float, source: str) -> str | None:
    """The text of a number where the number alone would be written differently; None where it would not.

    argparse takes -3e-05 for an option, but -0.00003 for a value.
    """
    source = positional(source) if NEGATIVE_EXPONENT.fullmatch(source) else source
    return None if text(value) == source else source


def resolve_literals(value: Any, path: KeyPath) -> Any:
    """`value` as Hydra gets it at `path`: each literal as a number, or as its text where the schema wants text."""
    match value:
        case _Literal():
            return _read(value, scalar_rule(path))
        case list():
            return [resolve_literals(item, (*path, ITEM)) for item in value]
        case dict():
            return {key: resolve_literals(item, (*path, str(key))) for key, item in _with_text_keys(value).items()}
        case ChoiceSweep():
            value.list = [resolve_literals(item, path) for item in value.list]
        case RangeSweep():
            value.start, value.stop, value.step = _number(value.start), _number(value.stop), _number(value.step)
        case IntervalSweep():
            value.start, value.end = _number(value.start), _number(value.end)
    return value


def _number(value: Any) -> Any:
    """The number or truth value without its text."""
    match value:
        case BoolLiteral():
            return bool(int(value))
        case IntLiteral():
            return int(value)
        case FloatLiteral():
            return float(value)
    return value


def _read(value: Any, how: ScalarRule) -> Any:
    if how is ScalarRule.text or (how is ScalarRule.word and isinstance(value, BoolLiteral)):
        return QuotedString(value.text, Quote.single)
    number = _number(value)
    if how is ScalarRule.typed or isinstance(number, bool) or (source := lossless_text(number, value.text)) is None:
        return number
    return QuotedString(source, Quote.single)


def _with_text_keys(value: dict[Any, Any]) -> dict[Any, Any]:
    return {str(key) if isinstance(key, _Literal) else key: item for key, item in value.items()}
