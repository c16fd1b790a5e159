"""Numbers as they were written: what Hydra's overrides and YAML hand over of 2.30, 1e5 or yes."""

from __future__ import annotations

import re
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Quote, QuotedString, RangeSweep

from amlcore.config.reading import ITEM, Path, Reading, reading
from amlcore.worker.values import positional, text

NEGATIVE_EXPONENT = re.compile(r"-[0-9._]+[eE][-+]?[0-9_]+")


class _Written:
    """A value with the text that stood for it."""

    text: str

    def __str__(self) -> str:
        return self.text


class WrittenInt(_Written, int):
    pass


class WrittenFloat(_Written, float):
    pass


class WrittenBool(_Written, int):  # bool itself cannot be extended
    pass


KINDS: dict[type, Any] = {int: WrittenInt, float: WrittenFloat, bool: WrittenBool}


def written(value: Any, said: str) -> Any:
    """`value` together with its text; what is neither a number nor a truth value stays as it is."""
    if type(value) not in KINDS:
        return value
    made = KINDS[type(value)](value)
    made.text = said
    return made


def kept_text(value: float, said: str) -> str | None:
    """The text that has to be kept of a number, since the number alone would be written otherwise; None for none.

    argparse takes -3e-05 for an option, and -0.00003 for a value.
    """
    said = positional(said) if NEGATIVE_EXPONENT.fullmatch(said) else said
    return None if text(value) == said else said


def settled(value: Any, path: Path) -> Any:
    """`value` as it is handed over at `path`: its numbers as numbers, or as the text that was written."""
    match value:
        case _Written():
            return _read(value, reading(path))
        case list():
            return [settled(item, (*path, ITEM)) for item in value]
        case dict():
            return {key: settled(item, (*path, str(key))) for key, item in _with_text_keys(value).items()}
        case ChoiceSweep():
            value.list = [settled(item, path) for item in value.list]
        case RangeSweep():
            value.start, value.stop, value.step = plain(value.start), plain(value.stop), plain(value.step)
        case IntervalSweep():
            value.start, value.end = plain(value.start), plain(value.end)
    return value


def plain(value: Any) -> Any:
    """The number alone."""
    match value:
        case WrittenBool():
            return bool(int(value))
        case WrittenInt():
            return int(value)
        case WrittenFloat():
            return float(value)
    return value


def _read(value: Any, how: Reading) -> Any:
    if how is Reading.text or (how is Reading.word and isinstance(value, WrittenBool)):
        return QuotedString(value.text, Quote.single)
    number = plain(value)
    if how is Reading.typed or isinstance(number, bool) or (said := kept_text(number, value.text)) is None:
        return number
    return QuotedString(said, Quote.single)


def _with_text_keys(value: dict[Any, Any]) -> dict[Any, Any]:
    return {str(key) if isinstance(key, _Written) else key: item for key, item in value.items()}
