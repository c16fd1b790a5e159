"""The words of a filter, and messages that point at one of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from amlcore.errors import RequestError

_SHOWN = 100
"""Characters of a filter that a message repeats; of a longer one it repeats the part in question."""


class FilterError(RequestError):
    """A filter that cannot be understood, or names what does not exist."""


class TokenKind(Enum):
    """The kinds of tokens."""

    word = "word"
    text = "text"  # in single or double quotes
    name = "name"  # in backquotes
    operator = "operator"
    end = "end"


@dataclass(frozen=True)
class Token:
    """A word, a quoted text or an operator of a filter; `text` is without its quotes."""

    kind: TokenKind
    text: str
    start: int
    end: int

    def is_keyword(self, *keywords: str) -> bool:
        return self.kind is TokenKind.word and self.text.lower() in keywords

    def is_operator(self, *operators: str) -> bool:
        return self.kind is TokenKind.operator and self.text in operators

    def __str__(self) -> str:
        return "the end" if self.kind is TokenKind.end else f"'{self.text}'"


_TOKEN = re.compile(
    r"""
    (?P<operator> == | != | <> | <= | >= | !~ | [=<>~(),] )
    | (?P<quoted> "(?:[^"]|"")*" | '(?:[^']|'')*' | `(?:[^`]|``)*` )
    | (?P<word> [^\s=<>!~(),"'`]+ )
    | (?P<space> \s+ )
    """,
    re.VERBOSE,
)


def tokens(source: str) -> Iterator[Token]:
    """The tokens of `source`, and one for its end.

    Raises
    ------
    FilterError
        A quote is not closed, or a character means nothing.
    """
    place = 0
    while place < len(source):
        match = _TOKEN.match(source, place)
        if match is None:
            raise pointing(_stray(source[place]), source, place)
        text, start, place = match[0], place, match.end()
        if match.lastgroup == "quoted":
            quote = text[0]
            kind = TokenKind.name if quote == "`" else TokenKind.text
            yield Token(kind, text[1:-1].replace(quote * 2, quote), start, place)
        elif match.lastgroup != "space":
            yield Token(TokenKind(match.lastgroup), text, start, place)
    yield Token(TokenKind.end, "", len(source), len(source))


def _stray(character: str) -> str:
    if character == "!":
        return "'!' stands only in != and !~; use not (…)"
    return f"the quote {character} is not closed"


def pointing(message: str, source: str, place: int) -> FilterError:
    """An error whose second and third line show `source` with a caret below `place`."""
    first = max(0, min(place - _SHOWN // 2, len(source) - _SHOWN))
    shown = source[first : first + _SHOWN]
    head, tail = "…" if first else "", "…" if first + _SHOWN < len(source) else ""
    line = head + "".join(character if character.isprintable() else " " for character in shown) + tail
    indent = len(head) + sum(map(_width, shown[: place - first]))
    return FilterError(f"{message}\n  {line}\n  {' ' * indent}^")


def _width(character: str) -> int:
    """The columns that a character takes on a terminal."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
