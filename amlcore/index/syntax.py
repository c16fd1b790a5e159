"""The tree of a filter: what `parser` makes of a text, and `conditions` turns into a condition on rows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

NAMESPACES = {
    **dict.fromkeys(("metrics", "metric"), "metrics"),
    **dict.fromkeys(("params", "param", "parameters", "parameter"), "params"),
    **dict.fromkeys(("tags", "tag"), "tags"),
    **dict.fromkeys(("run", "attributes", "attribute", "attr"), "run"),
}
"""What may stand before a name and a dot, as people write it and as MLflow does."""

KEYWORDS = ("and", "or", "not", "in", "is", "like", "ilike", "null")


@dataclass(frozen=True)
class FilterName:
    """What is compared; `namespace` is one of the values of NAMESPACES, or None where only a name was written."""

    namespace: str | None
    text: str
    place: int

    def __str__(self) -> str:
        is_plain = re.fullmatch(r"[^\s=<>!~(),\"'`]+", self.text) and self.text.lower() not in KEYWORDS
        name = self.text if is_plain and not self._has_namespace else "`" + self.text.replace("`", "``") + "`"
        return name if self.namespace is None else f"{self.namespace}.{name}"

    @property
    def _has_namespace(self) -> bool:
        """Whether the text itself looks as if it had a namespace."""
        return self.namespace is None and self.text.partition(".")[0].lower() in NAMESPACES and "." in self.text


@dataclass(frozen=True)
class FilterValue:
    """A value to compare with."""

    text: str
    is_quoted: bool
    place: int

    def __str__(self) -> str:
        return '"' + self.text.replace('"', '""') + '"' if self.is_quoted else self.text


@dataclass(frozen=True)
class Term:
    """A name beside values; the operator is one of = != < <= > >= ~ like ilike in null, the last without values."""

    name: FilterName
    operator: str
    values: tuple[FilterValue, ...]
    place: int  # of the operator

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


def names_in(expression: Expression) -> set[str]:
    """The names of fields of the run that a filter asks for, if they are fields."""
    if isinstance(expression, Term):
        return {expression.name.text} if expression.name.namespace in (None, "run") else set()
    if isinstance(expression, Not):
        return names_in(expression.operand)
    return set().union(*map(names_in, expression.operands))
