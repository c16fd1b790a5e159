"""Numbers as they were written: what Hydra's overrides and YAML hand over of 2.30, 1e5 or yes."""

from __future__ import annotations

import re
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Quote, QuotedString, RangeSweep

from amlcore.config.grammar.scalars import ITEM, Path, ScalarRule, scalar_rule
from amlcore.worker.values import positional, text

NEGATIVE_EXPONENT = re.compile(r"-[0-9._]+[eE][-+]?[0-9_]+")


class _Literal:
    """A value with the text that stood for it."""

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


def written(value: Any, said: str) -> Any:
    """`value` together with its text; what is neither a number nor a truth value stays as it is."""
    if type(value) not in KINDS:
        return value
    made = KINDS[type(value)](value)
    made.text = said
    return made


def lossless_text(value: float, said: str) -> str | None:
    """The text that has to be kept of a number, since the number alone would be written otherwise; None for none.

    argparse takes -3e-05 for an option, and -0.00003 for a value.
    """
    said = positional(said) if NEGATIVE_EXPONENT.fullmatch(said) else said
    return None if text(value) == said else said


def resolve_literals(value: Any, path: Path) -> Any:
    """`value` as it is handed over at `path`: its numbers as numbers, or as the text that was written."""
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
            value.start, value.stop, value.step = plain(value.start), plain(value.stop), plain(value.step)
        case IntervalSweep():
            value.start, value.end = plain(value.start), plain(value.end)
    return value


def plain(value: Any) -> Any:
    """The number alone."""
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
    number = plain(value)
    if how is ScalarRule.typed or isinstance(number, bool) or (said := lossless_text(number, value.text)) is None:
        return number
    return QuotedString(said, Quote.single)


def _with_text_keys(value: dict[Any, Any]) -> dict[Any, Any]:
    return {str(key) if isinstance(key, _Literal) else key: item for key, item in value.items()}
