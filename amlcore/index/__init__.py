"""The index: a row for each run, and the runs that a filter finds."""

from amlcore.index.filter_parser import looks_like_filter
from amlcore.index.index import RunIndex
from amlcore.index.lexer import FilterError
from amlcore.index.matches import Matches, find
from amlcore.index.row import RunKind, RunRow

__all__ = ["FilterError", "Matches", "RunIndex", "RunKind", "RunRow", "find", "looks_like_filter"]
