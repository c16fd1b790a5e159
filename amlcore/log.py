"""Say: whoever takes amlcore's own words, a line at a time."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]
