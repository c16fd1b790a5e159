"""A table that loses no text on a narrow terminal or in a pipe, whatever the encoding."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from amlcore.terminal.output import printable_line

ALIGNED_WIDTH = 60  # in a pipe, a longer cell moves the rest of its own row alone
GAP = "  "


def cell(text: str, style: str = "") -> Text:
    """One line of a user's text: never markup, never control codes."""
    return Text(printable_line(text), style=style)


def encodable(text: Text, stream: TextIO) -> Text:
    """`text` with backslash escapes for what the stream cannot encode, so that its width is known."""
    encoding = stream.encoding or "utf-8"
    plain = text.plain.encode(encoding, "backslashreplace").decode(encoding)
    return text if plain == text.plain else Text(plain, style=text.style)


@dataclass
class TextTable:
    """The cells of a table."""

    columns: tuple[str, ...]
    rows: list[list[Text]] = field(default_factory=list)

    def add_row(self, *cells: str | Text) -> None:
        self.rows.append([each if isinstance(each, Text) else cell(each) for each in cells])

    def print(self) -> None:
        """Print on stdout: one line a row in a pipe; on a terminal, columns that do not fit go below their row."""
        heads = [encodable(cell(column, "bold"), sys.stdout) for column in self.columns]
        rows = [[encodable(each, sys.stdout) for each in row] for row in self.rows]
        if not sys.stdout.isatty():
            print("\n".join(line.plain for line in _aligned([heads, *rows], limit=ALIGNED_WIDTH)))
            return
        console = Console()
        for line in _fitted(heads, rows, width=console.width):
            console.print(line, soft_wrap=True)


def _aligned(rows: list[list[Text]], *, limit: int | None = None) -> Iterator[Text]:
    """A line a row; a cell wider than `limit` does not widen its column."""
    widths = _widths(rows, limit=limit)
    for row in rows:
        line = Text()
        for each, width in zip(row, widths, strict=True):
            line.append_text(each).append(" " * (width - each.cell_len) + GAP)
        line.rstrip()
        yield line


def _widths(rows: list[list[Text]], *, limit: int | None = None) -> list[int]:
    lengths = ([cell_len(each.plain) for each in column] for column in zip(*rows, strict=True))
    return [max((length for length in column if limit is None or length <= limit), default=0) for column in lengths]


def _fitted(heads: list[Text], rows: list[list[Text]], *, width: int) -> Iterator[Text]:
    """The lines for a terminal of `width`: the widest columns move below their rows until the others fit."""
    widths = _widths([heads, *rows])
    columns = list(range(len(heads)))
    while len(columns) > 1 and sum(widths[index] + len(GAP) for index in columns) - len(GAP) > width:
        columns.remove(max(columns[1:], key=lambda index: widths[index]))
    below = [index for index in range(len(heads)) if index not in columns]
    head, *lines = _aligned([[row[index] for index in columns] for row in [heads, *rows]])
    yield head
    for line, row in zip(lines, rows, strict=True):
        yield line
        for index in below:
            if row[index].plain:
                yield Text.assemble(GAP, heads[index], " ", row[index])
