"""The index: a row for each run, and the runs that a filter finds."""

from amlcore.index.index import RunIndex
from amlcore.index.lexer import FilterError
from amlcore.index.parser import looks_like_filter
from amlcore.index.row import RunKind, RunRow
from amlcore.index.search import Matches, find

__all__ = ["FilterError", "Matches", "RunIndex", "RunKind", "RunRow", "find", "looks_like_filter"]
