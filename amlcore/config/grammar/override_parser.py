"""The parser of overrides: Hydra's grammar, but numbers keep their text and names in free mappings may be any text."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import (  # type: ignore[attr-defined]
    KEY_RULES,
    CommonTokenStream,
    InputStream,
    OverridesParser,
    create_functions,
)
from hydra.core.override_parser.overrides_visitor import HydraErrorListener, HydraOverrideVisitor
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.grammar.gen.OverrideLexer import OverrideLexer
from hydra.grammar.gen.OverrideParser import OverrideParser

from amlcore.config.grammar.literals import as_literal, resolve_literals
from amlcore.config.grammar.requirement_lists import quote_requirements
from amlcore.config.grammar.scalars import free_name_mappings, key_parts
from amlcore.errors import ConfigError

NUMBERS = {OverrideLexer.INT, OverrideLexer.FLOAT}
KEPT_SCALARS = {"choice": NUMBERS | {OverrideLexer.BOOL}, "shuffle": NUMBERS | {OverrideLexer.BOOL}}
KEPT_SCALARS |= dict.fromkeys(("sort", "tag", "str"), NUMBERS)
"""The functions whose arguments keep their text, and of which kinds; others, such as reverse=true, stay values."""
PLAIN_NAME = re.compile(r"[A-Za-z_$][\w$-]*|0|[1-9][0-9]*", re.ASCII)
PREFIX = re.compile(r"\+\+|\+|~|")


class _Visitor(HydraOverrideVisitor):
    _kept: set[int] = NUMBERS | {OverrideLexer.BOOL}

    def _createPrimitive(self, ctx: OverrideParser.PrimitiveContext) -> Any:  # noqa: N802  Hydra's name
        value = super()._createPrimitive(ctx)
        symbols = [child.symbol for child in ctx.getChildren() if child.symbol.type in self._kept]
        if len(symbols) != 1 or not isinstance(value, int | float):
            return value
        return as_literal(value, symbols[0].text)

    def visitFunction(self, ctx: OverrideParser.FunctionContext) -> Any:  # noqa: N802
        before, self._kept = self._kept, KEPT_SCALARS.get(ctx.getChild(0).getText(), set())
        try:
            return super().visitFunction(ctx)
        finally:
            self._kept = before


class HydraParser(OverridesParser):
    """Hydra's parser of overrides."""

    def parse_rule(self, s: str, rule_name: str) -> Any:
        if rule_name != "override":
            return self._parse(s, rule_name)
        text = quote_requirements(s)
        prefix, mapping, name, value = split(text)
        if mapping is None and "" in name.partition("[")[0].split("."):
            raise ConfigError(f"{s}: a part of the key is missing; write KEY=VALUE, as in compute.slots=2")
        if mapping is None or PLAIN_NAME.fullmatch(name):
            parsed = self._parse(text, rule_name)
        else:
            if not name or "]" in name:
                why = "a name with ']' can only be set in a file of conf/" if name else "the name is missing"
                raise ConfigError(f"{s}: {mapping}: {why}")
            parsed = self._parse(f"{prefix}{mapping}.name{value}", rule_name)
            parsed.key_or_group = f"{mapping}[{name}]"  # OmegaConf's own form for a name with dots
        parsed.input_line = s
        parsed._value = resolve_literals(parsed._value, path_of(parsed))
        return parsed

    def _parse(self, s: str, rule_name: str) -> Any:
        """As Hydra does, but with our visitor."""
        listener = HydraErrorListener()
        lexer = OverrideLexer(InputStream(s))
        lexer.removeErrorListeners()
        lexer.addErrorListener(listener)
        if rule_name not in KEY_RULES:
            lexer.mode(OverrideLexer.VALUE_MODE)
        parser = OverrideParser(CommonTokenStream(lexer))
        parser.removeErrorListeners()
        parser.addErrorListener(listener)
        parsed = _Visitor(self.functions).visit(getattr(parser, rule_name)())
        if isinstance(parsed, Override):
            parsed.input_line = s
            if hasattr(parsed, "validate"):  # Hydra 1.3
                parsed.validate()
        return parsed


def parser(config_loader: ConfigLoader | None = None) -> HydraParser:
    functions = create_functions()
    for name in ("int", "float"):
        functions.functions[name] = _keeping_tags(functions.functions[name])
    return HydraParser(functions, config_loader)


def split(override: str) -> tuple[str, str | None, str, str]:
    """The prefix, the free mapping or None, the name in it or the key, and everything from the `=` on."""
    key, equals, value = override.partition("=")
    prefix = PREFIX.match(key)
    start = prefix[0] if prefix else ""
    key = key[len(start) :]
    mapping = next((dotted for dotted in map(".".join, free_name_mappings()) if key.startswith(f"{dotted}.")), None)
    return start, mapping, key[len(mapping) + 1 :] if mapping else key, equals + value


def key_of(override: Override) -> str:
    """The key of an override, as it was typed."""
    if "[" not in override.key_or_group:
        return str(override.key_or_group)
    _, mapping, name, _ = split(str(override.input_line))
    return f"{mapping}.{name}"


def prefixed_key_of(override: Override) -> str:
    """The key of an override with its `+` or `~`."""
    if "[" not in override.key_or_group:
        return str(override.get_key_element())
    return f"{split(str(override.input_line))[0]}{key_of(override)}"


def path_of(override: Override) -> tuple[str, ...]:
    """The parts of the override's key; a group counts as a key."""
    return key_parts(key_of(override) if "[" in override.key_or_group else key_of(override).replace("/", "."))


def parent_of(key: str) -> str:
    """The mapping that `key` is in."""
    return ".".join(key_parts(key)[:-1])


def dotted(message: str) -> str:
    """`message` with OmegaConf's `mapping[a.b]` as users type it, `mapping.a.b`."""
    mappings = [re.escape(".".join(path)) for path in free_name_mappings()]
    return re.sub(rf"({'|'.join(mappings)})\[(.*?)\]", r"\1.\2", message)


def _keeping_tags(cast: Callable[..., Any]) -> Callable[..., Any]:
    """The same cast, which keeps the tags of a range; Hydra's loses them."""
    signature = inspect.signature(cast)

    def cast_all(*args: Any, value: Any = None) -> Any:
        argument, result = args[0] if args else value, cast(*args, value=value)
        if isinstance(argument, RangeSweep):
            result.tags, result.shuffle = set(argument.tags), argument.shuffle
        return result

    cast_all.__signature__ = signature  # type: ignore[attr-defined]
    return cast_all
