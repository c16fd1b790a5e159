"""The tree of a filter: what `parser` makes of a text, and `conditions` turns into a condition on rows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypeAlias

NAMESPACES = {
    **dict.fromkeys(("metrics", "metric"), "metrics"),
    **dict.fromkeys(("params", "param", "parameters", "parameter"), "params"),
    **dict.fromkeys(("tags", "tag"), "tags"),
    **dict.fromkeys(("run", "attributes", "attribute", "attr"), "run"),
}
"""What may stand before a name and a dot, as people write it and as MLflow does."""

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")

KEYWORDS = ("and", "or", "not", "in", "is", "like", "ilike", "null")


@dataclass(frozen=True)
class FilterName:
    """What is compared; `namespace` is one of the values of NAMESPACES, or None where only a name was written."""

    namespace: str | None
    text: str
    place: int = field(compare=False)

    def __str__(self) -> str:
        name = self.text if self._is_plain else "`" + self.text.replace("`", "``") + "`"
        return name if self.namespace is None else f"{self.namespace}.{name}"

    @property
    def _is_plain(self) -> bool:
        """Whether the text needs no quotes."""
        if not re.fullmatch(r"[^\s=<>!~(),\"'`]+", self.text) or self.text.lower() in KEYWORDS:
            return False
        prefix, dot, _ = self.text.partition(".")
        means_something = NUMBER.fullmatch(self.text) or (dot and prefix.lower() in NAMESPACES)
        return self.namespace is not None or not means_something


@dataclass(frozen=True)
class FilterValue:
    """A value to compare with."""

    text: str
    is_quoted: bool
    place: int = field(compare=False)

    def __str__(self) -> str:
        return '"' + self.text.replace('"', '""') + '"' if self.is_quoted else self.text


@dataclass(frozen=True)
class Term:
    """A name beside values; the operator is one of = != < <= > >= ~ like ilike in null, the last without values."""

    name: FilterName
    operator: str
    values: tuple[FilterValue, ...]
    place: int = field(compare=False)  # of the operator

    def __str__(self) -> str:
        if self.operator == "null":
            return f"{self.name} is null"
        if self.operator == "in":
            return f"{self.name} in ({', '.join(map(str, self.values))})"
        return f"{self.name} {self.operator} {self.values[0]}"


@dataclass(frozen=True)
class Not:
    operand: Expression

    def __str__(self) -> str:
        return f"not ({self.operand})"


@dataclass(frozen=True)
class And:
    operands: tuple[Expression, ...]

    def __str__(self) -> str:
        return " and ".join(f"({operand})" for operand in self.operands)


@dataclass(frozen=True)
class Or:
    operands: tuple[Expression, ...]

    def __str__(self) -> str:
        return " or ".join(f"({operand})" for operand in self.operands)


Expression: TypeAlias = Term | Not | And | Or


def names_in(expression: Expression) -> list[FilterName]:
    """The names that a filter compares, in their order."""
    if isinstance(expression, Term):
        return [expression.name]
    if isinstance(expression, Not):
        return names_in(expression.operand)
    return [name for operand in expression.operands for name in names_in(operand)]
