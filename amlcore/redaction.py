"""Redaction: the values of secrets in a text become references to the variables that hold them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from functools import cache

MIN_LENGTH = 4  # characters of a secret that is looked for inside longer texts; a shorter one would be found by chance
MIN_LINE_LENGTH = 8  # characters of one line of several
LETTERS = {"\n": "n", "\t": "t", "\r": "r", "\b": "b", "\f": "f"}  # of control characters, behind a backslash
secret_names: set[str] = set()
"""The variables that this process's workspaces declare secret; the debug log never shows their values."""


def redact(text: str, names: Iterable[str]) -> str:
    """`text` with the values of the environment variables `names` as references to them, however they are escaped.

    Of a value of several lines each line is hidden too, since a log is written line by line.
    """
    spans: list[tuple[int, int, str]] = []
    for name in sorted(names):
        for part in _parts(os.environ.get(name, "")):
            spans += [(start, end, name) for start, end in _places(text, part)]
    pieces, position = [], 0
    for start, end, references in _merged(spans):
        pieces += [text[position:start], references]
        position = end
    return "".join((*pieces, text[position:]))


def _parts(secret: str) -> set[str]:
    """What of `secret` is hidden: all of it, and each of its lines that is not a word of any text."""
    lines = [line for line in map(str.strip, secret.splitlines()) if line]
    shortest = MIN_LENGTH if len(lines) == 1 else MIN_LINE_LENGTH
    return {part for part in (secret, *lines) if len(part) >= (MIN_LENGTH if part == secret else shortest)}


def holds(text: str, secret: str) -> bool:
    """Whether `secret` is in `text`, as it is or escaped as in JSON, in Python, in a URL or in a shell."""
    return next(_places(text, secret), None) is not None


def _places(text: str, secret: str) -> Iterator[tuple[int, int]]:
    """Where `secret` is in `text`; places may overlap."""
    pattern = _pattern(secret)
    match = pattern.search(text)
    while match is not None:
        yield match.span()
        match = pattern.search(text, match.start() + 1)


def _merged(spans: list[tuple[int, int, str]]) -> Iterator[tuple[int, int, str]]:
    """Spans that overlap as one, with a reference to each secret that is not inside another."""
    first, last, names = 0, 0, dict[str, None]()
    for start, end, name in sorted(spans, key=lambda span: (span[0], -span[1])):
        if start >= last:
            if names:
                yield first, last, _references(names)
            first, last, names = start, end, {name: None}
        elif end > last:
            last = end
            names[name] = None
    if names:
        yield first, last, _references(names)


def _references(names: Iterable[str]) -> str:
    return "".join(f"${{oc.env:{name}}}" for name in names)


@cache
def _pattern(secret: str) -> re.Pattern[str]:
    """Matches `secret` with each character as it is or escaped, by whatever rule and as often as twice."""
    return re.compile("".join(map(_escapes, re.findall(r"\\+|[^\\]", secret))))


def _escapes(run: str) -> str:
    """A pattern of the forms of one character, or of a run of backslashes."""
    character, count = run[0], len(run)
    if character.isascii() and (character.isalnum() or character in "_.-~"):  # which nothing escapes
        return re.escape(character)
    in_utf8 = character.encode("utf-8", errors="surrogatepass")
    in_utf16 = character.encode("utf-16-be", errors="surrogatepass").hex()
    percent = "".join(f"%(?:25){{0,2}}{byte:02x}" for byte in in_utf8)
    forms = [rf"\\{{1,4}}U{ord(character):08x}", rf"\\{{1,4}}x{ord(character):02x}"]
    forms.append("".join(rf"\\{{1,4}}u{in_utf16[place : place + 4]}" for place in range(0, len(in_utf16), 4)))
    forms.append("".join(rf"\\{{1,4}}x{byte:02x}" for byte in in_utf8))
    any_case = f"(?i:{'|'.join((percent, *forms))})"
    if character == "\\":
        return rf"(?:\\{{{count},{4 * count}}}|(?:{any_case}){{{count}}})"
    plain = {" ": "[ +]", "'": "'\"'\"'|\\\\{0,4}'"}.get(character, rf"\\{{0,4}}{re.escape(character)}")
    letter = rf"|\\{{1,4}}{LETTERS[character]}" if character in LETTERS else ""
    return f"(?:{any_case}|{plain}{letter})"
