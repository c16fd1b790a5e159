"""The YAML of config files, whose plain scalars mean the same as on the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import cache
from typing import IO, Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from amlcore.config.files.alias_limit import check_aliases
from amlcore.config.grammar.literals import lossless_text
from amlcore.config.grammar.scalars import ITEM, SPACE, SPACE_WORDS, KeyPath, ScalarRule, scalar_rule
from amlcore.config.versions import yaml_loader
from amlcore.errors import ConfigError
from amlcore.worker.values import text

TAGS = "tag:yaml.org,2002:"
READ = {f"{TAGS}int": int, f"{TAGS}float": float, f"{TAGS}bool": bool}
TEXT = f"{TAGS}str"
TRUTH = ("true", "false")
_WARNED: set[tuple[str, int, int]] = set()  # file, line and column of each warning: one is enough for a process


def load(stream: IO[str], *, package: KeyPath) -> dict[Any, Any] | list[Any]:
    """The keys of a file whose keys go to `package`, for OmegaConf.create, with texts kept as they were written."""
    loader = _loader()(stream)
    try:
        root = loader.get_single_node()
        check_aliases(root, name=_short(stream.name))
        _retag(root, package, set(), loader)
        value = None if root is None else loader.construct_document(root)
    finally:
        loader.dispose()
    if value is None:
        return {}
    if isinstance(value, str):
        return {value: None}
    if not isinstance(value, list | dict):
        raise ConfigError(f"{stream.name}: must be a mapping of keys to values, not a single value")
    return value


@cache
def _loader() -> Any:
    return yaml_loader()


def _retag(node: Node | None, path: KeyPath, seen: set[int], loader: Any) -> None:
    """Let each plain scalar below `node` be read by its path; a node that aliases share by its first path."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, SequenceNode):
        node.value = [_child(item, (*path, ITEM), seen, loader) for item in node.value]
    elif isinstance(node, MappingNode):
        if path[:2] == SPACE and path[2:] == ():
            node.value = list(_flat(node, ""))
        node.value = [(_key(key, path), _child(value, (*path, _name(key)), seen, loader)) for key, value in node.value]


def _child(node: Node, path: KeyPath, seen: set[int], loader: Any) -> Node:
    if not isinstance(node, ScalarNode):
        _retag(node, path, seen, loader)
        return node
    is_plain = node.tag in READ and not node.style
    if not is_plain or loader.resolve(ScalarNode, node.value, (True, False)) != node.tag:  # such as !!float 1
        return node
    return _read(node, path, loader)


def _read(node: ScalarNode, path: KeyPath, loader: Any) -> ScalarNode:
    how = scalar_rule(path)
    if how is ScalarRule.typed:
        if not _is_not_finite(node):
            _warn_of_difference(node, path, loader)
        return node
    is_text = how is ScalarRule.text or (how is ScalarRule.word and READ[node.tag] is bool)
    kept = node.value if is_text else _lossy(node)
    if kept is None:
        _warn_of_difference(node, path, loader)
    return node if kept is None else ScalarNode(TEXT, kept, node.start_mark, node.end_mark)


def _warn_of_difference(node: ScalarNode, path: KeyPath, loader: Any) -> None:
    """Warn once of a scalar that YAML reads differently from the command line."""
    value = loader.construct_object(node)
    try:
        same = node.value.lower() in TRUTH if READ[node.tag] is bool else READ[node.tag](node.value) == value
    except ValueError:
        same = False
    mark = node.start_mark
    place = (mark.name, mark.line + 1, mark.column)
    if same or path[:1] == ("hydra",) or place in _WARNED:
        return
    _WARNED.add(place)
    key = ".".join(part for part in path if part != ITEM)
    shown = text(value)
    print(
        f"aml: warning: {_short(mark.name)}:{mark.line + 1}: {key}: YAML reads {node.value} as {shown}; "
        f"on the command line it is text. Write {shown} for the value, or '{node.value}' for the text",
        file=sys.stderr,
    )


def _short(file: str) -> str:
    here = os.path.join(os.getcwd(), "")
    return file.removeprefix(here)


def _lossy(node: ScalarNode) -> str | None:
    """The text to keep of a scalar that YAML reads as a number or truth value; None if nothing would be lost."""
    if READ[node.tag] is bool:
        return None if node.value.lower() in TRUTH else node.value
    try:
        return lossless_text(READ[node.tag](node.value), node.value)
    except ValueError:  # only YAML reads 0x1F and 9:30 as numbers
        return None if _is_not_finite(node) else node.value


def _is_not_finite(node: ScalarNode) -> bool:
    """Whether it is .inf or .nan, which YAML has no other form for."""
    return bool(node.value.lower().endswith((".inf", ".nan")))


def _key(key: Node, path: KeyPath) -> Node:
    if isinstance(key, ScalarNode) and key.tag in READ and not key.style and scalar_rule(path) is not ScalarRule.typed:
        return ScalarNode(TEXT, key.value, key.start_mark, key.end_mark)
    return key


def _name(key: Node) -> str:
    return key.value if isinstance(key, ScalarNode) else ""


def _flat(node: MappingNode, prefix: str) -> Iterator[tuple[Node, Node]]:
    """The keys of a search space, flattened: as on the command line, a key with dots is one name."""
    for key, value in node.value:
        name = f"{prefix}{_name(key)}"
        inner = {_name(one) for one, _ in value.value} if isinstance(value, MappingNode) else set()
        if inner and not inner & set(SPACE_WORDS):
            yield from _flat(value, f"{name}.")
        else:
            yield ScalarNode(TEXT, name, key.start_mark, key.end_mark), value
