"""References of keys to other keys, such as ${compute.cores}, which follow a key that varies in a sweep."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, ListConfig

from amlcore.config.grammar.override_parser import dotted

TARGET = re.compile(r"\$\{\s*(?:oc\.(?:select|dict\.keys|dict\.values)\s*:\s*)?(\.*)([^\s:,{}$]+)\s*[,}]")
COMPUTED = re.compile(r"\$\{[^{}:]*\$\{")  # such as ${a.${b}}, whose target may be any key
INDEX = re.compile(r"\[(\w+)\]")


@dataclass(frozen=True)
class KeyReference:
    """A text of the configuration that refers to other keys."""

    path: tuple[str | int, ...]
    text: str

    @property
    def key(self) -> str:
        return ".".join(map(str, self.path))

    def first_of(self, keys: Collection[str]) -> str | None:
        """The first of `keys` that it refers to, or that is part of what it refers to."""
        if COMPUTED.search(self.text):
            return next(iter(keys), None)
        targets = [f"{target}." for target in self._targets()]
        return next(
            (key for key in keys for one in targets if f"{key}.".startswith(one) or one.startswith(f"{key}.")), None
        )

    def _targets(self) -> Iterator[str]:
        for dots, name in TARGET.findall(self.text):
            parent = self.path[: -len(dots)] if dots else ()
            yield ".".join([*map(str, parent), INDEX.sub(r".\1", dotted(name))])


def key_references(node: Any, path: tuple[str | int, ...] = ()) -> list[KeyReference]:
    """All references to other keys at and below `node`."""
    if node is None or node._is_none() or node._is_missing():
        return []
    if isinstance(raw := node._value(), str):
        is_reference = node._is_interpolation() and (TARGET.search(raw) or COMPUTED.search(raw))
        return [KeyReference(path, raw)] if is_reference else []
    if not isinstance(node, DictConfig | ListConfig):
        return []
    names = list(node) if isinstance(node, DictConfig) else range(len(node))
    return [reference for name in names for reference in key_references(node._get_node(name), (*path, name))]


def following(references: list[KeyReference], keys: Collection[str]) -> dict[KeyReference, str]:
    """The references to `keys`, also by way of other references, each with the one of `keys` that it follows."""
    causes = {key: key for key in keys}
    follow: dict[KeyReference, str] = {}
    while new := {
        reference: causes[first]
        for reference in references
        if reference not in follow and (first := reference.first_of(causes)) is not None
    }:
        follow |= new
        causes |= {reference.key: cause for reference, cause in new.items()}
    return follow
