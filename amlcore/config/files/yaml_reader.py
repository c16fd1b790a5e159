"""The YAML of configuration files, whose plain scalars mean what they mean on the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import cache
from typing import IO, Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from amlcore.config.files.alias_limit import check_aliases
from amlcore.config.grammar.literals import lossless_text
from amlcore.config.grammar.scalars import ITEM, SPACE, SPACE_WORDS, Path, ScalarRule, scalar_rule
from amlcore.config.versions import yaml_loader
from amlcore.errors import ConfigError
from amlcore.worker.values import text

TAGS = "tag:yaml.org,2002:"
READ = {f"{TAGS}int": int, f"{TAGS}float": float, f"{TAGS}bool": bool}
TEXT = f"{TAGS}str"
TRUTH = ("true", "false")
_TOLD: set[tuple[str, int, int]] = set()  # the places that were told of, since a job is composed more than once


def load(stream: IO[str], *, package: Path) -> dict[Any, Any] | list[Any]:
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
        raise ConfigError(f"{stream.name}: this is one value; a configuration is a mapping of keys to values")
    return value


@cache
def _loader() -> Any:
    return yaml_loader()


def _retag(node: Node | None, path: Path, seen: set[int], loader: Any) -> None:
    """Have each plain scalar below `node` read by its path; what an alias shares is read where it is first."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, SequenceNode):
        node.value = [_child(item, (*path, ITEM), seen, loader) for item in node.value]
    elif isinstance(node, MappingNode):
        if path[:2] == SPACE and path[2:] == ():
            node.value = list(_flat(node, ""))
        node.value = [(_key(key, path), _child(value, (*path, _name(key)), seen, loader)) for key, value in node.value]


def _child(node: Node, path: Path, seen: set[int], loader: Any) -> Node:
    if not isinstance(node, ScalarNode):
        _retag(node, path, seen, loader)
        return node
    is_plain = node.tag in READ and node.style is None
    if not is_plain or loader.resolve(ScalarNode, node.value, (True, False)) != node.tag:  # as !!float 1 says it
        return node
    return _read(node, path, loader)


def _read(node: ScalarNode, path: Path, loader: Any) -> ScalarNode:
    how = scalar_rule(path)
    if how is ScalarRule.typed:
        if not _is_not_finite(node):
            _tell_difference(node, path, loader)
        return node
    is_text = how is ScalarRule.text or (how is ScalarRule.word and READ[node.tag] is bool)
    said = node.value if is_text else _lossy(node)
    if said is None:
        _tell_difference(node, path, loader)
    return node if said is None else ScalarNode(TEXT, said, node.start_mark, node.end_mark)


def _tell_difference(node: ScalarNode, path: Path, loader: Any) -> None:
    """Say so, once, where YAML reads a scalar otherwise than the command line would, and YAML's reading counts."""
    value = loader.construct_object(node)
    try:
        same = node.value.lower() in TRUTH if READ[node.tag] is bool else READ[node.tag](node.value) == value
    except ValueError:
        same = False
    mark = node.start_mark
    place = (mark.name, mark.line + 1, mark.column)
    if same or path[:1] == ("hydra",) or place in _TOLD:
        return
    _TOLD.add(place)
    key = ".".join(part for part in path if part != ITEM)
    said = text(value)
    print(
        f"aml: warning: {_short(mark.name)}:{mark.line + 1}: {key}: YAML reads {node.value} as {said}; "
        f"on the command line it is text. Write {said} for the value, or '{node.value}' for the text",
        file=sys.stderr,
    )


def _short(file: str) -> str:
    here = os.path.join(os.getcwd(), "")
    return file.removeprefix(here)


def _lossy(node: ScalarNode) -> str | None:
    """The text to keep of a scalar that YAML takes for a number or a truth value; None where it may stay one."""
    if READ[node.tag] is bool:
        return None if node.value.lower() in TRUTH else node.value
    try:
        return lossless_text(READ[node.tag](node.value), node.value)
    except ValueError:  # only YAML reads 0x1F and 9:30 as numbers
        return None if _is_not_finite(node) else node.value


def _is_not_finite(node: ScalarNode) -> bool:
    """Whether it is .inf or .nan, for which YAML has no other form."""
    return bool(node.value.lower().endswith((".inf", ".nan")))


def _key(key: Node, path: Path) -> Node:
    if (
        isinstance(key, ScalarNode)
        and key.tag in READ
        and key.style is None
        and scalar_rule(path) is not ScalarRule.typed
    ):
        return ScalarNode(TEXT, key.value, key.start_mark, key.end_mark)
    return key


def _name(key: Node) -> str:
    return key.value if isinstance(key, ScalarNode) else ""


def _flat(node: MappingNode, prefix: str) -> Iterator[tuple[Node, Node]]:
    """The keys of a search space, each whole: as on the command line, one with dots is one name."""
    for key, value in node.value:
        name = f"{prefix}{_name(key)}"
        inner = {_name(one) for one, _ in value.value} if isinstance(value, MappingNode) else set()
        if inner and not inner & set(SPACE_WORDS):
            yield from _flat(value, f"{name}.")
        else:
            yield ScalarNode(TEXT, name, key.start_mark, key.end_mark), value
