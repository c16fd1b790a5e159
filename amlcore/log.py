"""Log: whoever takes a line of amlcore's own, as the terminal does, or a run's driver.log."""

from __future__ import annotations

from collections.abc import Callable

Log = Callable[[str], None]
