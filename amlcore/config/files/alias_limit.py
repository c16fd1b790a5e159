"""The aliases of a YAML file: bounded before they are followed, since a few lines may stand for millions of values."""

from __future__ import annotations

from yaml.nodes import MappingNode, Node, SequenceNode

from amlcore.errors import ConfigError

MOST_VALUES = 100_000
"""Values that aliases may stand for, in a file that has fewer by itself."""


def check_aliases(root: Node | None, *, name: str) -> None:
    """Raises ConfigError for a file whose aliases stand for too many values, or for what they stand in."""
    sizes: dict[int, int | None] = {}  # None: what is being counted
    size = 0 if root is None else _size(root, sizes, name)
    if size > max(MOST_VALUES, 2 * len(sizes)):
        raise ConfigError(f"{name}: aliases expand {len(sizes)} values to {size}; at most {MOST_VALUES} are allowed")


def _size(node: Node, sizes: dict[int, int | None], name: str) -> int:
    """How many values `node` is with all aliases followed; each node is visited once."""
    if id(node) in sizes:
        known = sizes[id(node)]
        if known is None:
            raise ConfigError(f"{name}:{node.start_mark.line + 1}: an alias stands inside of what it stands for")
        return known
    sizes[id(node)] = None
    children: list[Node] = []
    if isinstance(node, MappingNode):
        children = [part for pair in node.value for part in pair]
    elif isinstance(node, SequenceNode):
        children = node.value
    sizes[id(node)] = size = 1 + sum(_size(child, sizes, name) for child in children)
    return size
