"""A limit on the aliases of a YAML file, before they are followed: a few lines can expand to millions of values."""

from __future__ import annotations

from yaml.nodes import MappingNode, Node, SequenceNode

from amlcore.errors import ConfigError

MOST_VALUES = 100_000
"""The values that aliases may expand to, in a file with fewer values of its own."""


def check_aliases(root: Node | None, *, name: str) -> None:
    """Raise ConfigError if aliases expand to too many values, or contain themselves."""
    sizes: dict[int, int | None] = {}  # None: being counted
    size = 0 if root is None else _size(root, sizes, name)
    if size > max(MOST_VALUES, 2 * len(sizes)):
        raise ConfigError(f"{name}: aliases expand {len(sizes)} values to {size}; at most {MOST_VALUES} are allowed")


def _size(node: Node, sizes: dict[int, int | None], name: str) -> int:
    """The number of values in `node` with all aliases followed; each node is visited once."""
    if id(node) in sizes:
        size = sizes[id(node)]
        if size is None:
            raise ConfigError(f"{name}:{node.start_mark.line + 1}: an alias contains itself")
        return size
    sizes[id(node)] = None
    children: list[Node] = []
    if isinstance(node, MappingNode):
        children = [part for pair in node.value for part in pair]
    elif isinstance(node, SequenceNode):
        children = node.value
    sizes[id(node)] = size = 1 + sum(_size(child, sizes, name) for child in children)
    return size
