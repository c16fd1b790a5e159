"""The error of a request, and how its messages show values."""

from __future__ import annotations

from typing import Any


class InputError(Exception):
    """A request that cannot be answered; `row` and `column` name the value at fault, if there is one."""

    def __init__(
        self, message: str, *, row: int | None = None, column: str | int | None = None, status: int = 422
    ) -> None:
        super().__init__(message)
        self.row = row
        self.column = column
        self.status = status

    def to_json(self) -> dict[str, Any]:
        return {"error": {"message": str(self), "row": self.row, "column": self.column}}


class Text(str):
    """A text in a column of unknown type that NumPy would read as a number: `"3"` must not become 3."""

    __slots__ = ()

    def __float__(self) -> float:
        raise ValueError(f"expected a number, got the text {quoted(self)}")


def quoted(value: Any) -> str:
    """`value` as an error message shows it, shortened if it is long."""
    if value is None or isinstance(value, (bool, list, dict)):
        names = {list: "a list", dict: "a record", bool: str(value).lower()}
        return names.get(type(value), "null")
    shown = repr(str(value)) if isinstance(value, str) else str(value)
    return shown if len(shown) <= 60 else shown[:57] + "…"


def count(number: int) -> str:
    return "1 value" if number == 1 else f"{number} values"
