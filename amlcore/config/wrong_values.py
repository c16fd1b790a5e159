"""Values that the schema does not take: one message for each error of OmegaConf about a type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from omegaconf.errors import OmegaConfBaseException

from amlcore.config.grammar.scalars import annotation_at, key_parts, nouns_at
from amlcore.config.schema_keys import keys_of

NOT_OF_TYPE = re.compile(r"Value '(.*)' of type '\w+' could not be converted to (\w+)", re.DOTALL)
NOT_A_BOOLEAN = re.compile(r"Value '(.*)' is not a valid bool", re.DOTALL)
NOT_A_TEXT = re.compile(r"Cannot convert '([Ll]ist|[Dd]ict)(?:Config)?' to string")
NOT_A_LIST = "is not a ListConfig"
OTHER_SHAPE = re.compile(r"(Cannot (merge DictConfig with ListConfig|assign .* to Dict)|.*\bis not a subclass of) *")
TYPES = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false", "String": "text"}
TEXTS = ("script.environment_variables.", "model.tags.")


def explain_wrong_value(key: str, error: OmegaConfBaseException, *, where: str) -> str:
    """What is wrong with the value of `key`, which was written at `where`."""
    message = str(error).strip()
    line = message.partition("\n")[0]
    path = key_parts(key)
    if NOT_A_LIST in line or (is_other_shape(line) and annotation_at(path).startswith("list[")):
        return f"{key}: must be a list, such as {key}=[a,b]{where}"
    if is_other_shape(line) and annotation_at(path).startswith("dict["):
        return f"{key}: must be a mapping, such as {key}={{a: 1, b: 2}}; `+{key}.NAME=VALUE` adds to it{where}"
    if is_other_shape(line) and (nouns := nouns_at(path)):
        return f"{key}: must be a mapping of its keys ({', '.join(keys_of(nouns[0]))}){where}"
    if match := NOT_A_TEXT.match(line):
        return f"{key}: must be one text, not a {'list' if match[1].lower() == 'list' else 'mapping'}{where}"
    if match := NOT_A_BOOLEAN.match(message):
        return f"{key}={match[1]}: must be true or false{where}"
    if match := NOT_OF_TYPE.match(message):
        return f"{key}={match[1]}: must be {TYPES.get(match[2], match[2])}{where}"
    if line.endswith("is not Optional"):
        hint = "; write 'null', in quotes, for the text" if key.startswith(TEXTS) else ""
        return f"{key}: must not be null{hint}{where}"
    return f"{key or 'conf/'}: {line[:1].lower()}{line[1:]}{where}"


def is_other_shape(message: str) -> bool:
    """Whether an error of OmegaConf is about a list, a mapping or a single value in place of another of these."""
    return OTHER_SHAPE.match(message) is not None


def misshapen_key(value: Any, path: tuple[str, ...] = ()) -> str | None:
    """The first key at or below `path` whose value is a list, a mapping or a single value where it may not be one."""
    wants_list = annotation_at(path).startswith("list[")
    wants_mapping = annotation_at(path).startswith("dict[") or (path != () and nouns_at(path) != ())
    if isinstance(value, Mapping):
        inner = (misshapen_key(item, (*path, str(name))) for name, item in value.items() if name != "defaults")
        return ".".join(path) if wants_list else next((key for key in inner if key is not None), None)
    is_open = value is None or (isinstance(value, str) and "${" in value)
    is_wrong = wants_mapping or (wants_list and not isinstance(value, list))
    return ".".join(path) if is_wrong and not is_open else None
