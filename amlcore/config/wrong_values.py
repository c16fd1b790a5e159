"""Values that the schema does not take: one message for each error of OmegaConf about a type."""

from __future__ import annotations

import re

from omegaconf.errors import OmegaConfBaseException

NOT_OF_TYPE = re.compile(r"Value '(.*)' of type '\w+' could not be converted to (\w+)", re.DOTALL)
NOT_A_BOOLEAN = re.compile(r"Value '(.*)' is not a valid bool", re.DOTALL)
NOT_A_LIST = "is not a ListConfig"
TYPES = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false", "String": "text"}
TEXTS = ("script.environment_variables.", "model.tags.")


def explain_wrong_value(key: str, error: OmegaConfBaseException, *, where: str) -> str:
    """What is wrong with the value of `key`, which was written at `where`."""
    message = str(error).strip()
    line = message.partition("\n")[0]
    if NOT_A_LIST in line:
        return f"{key}: must be a list, such as {key}=[a,b]{where}"
    if match := NOT_A_BOOLEAN.match(message):
        return f"{key}={match[1]}: must be true or false{where}"
    if match := NOT_OF_TYPE.match(message):
        return f"{key}={match[1]}: must be {TYPES.get(match[2], match[2])}{where}"
    if line.endswith("is not Optional"):
        hint = "; write 'null', in quotes, for the text" if key.startswith(TEXTS) else ""
        return f"{key}: must not be null{hint}{where}"
    return f"{key or 'conf/'}: {line[:1].lower()}{line[1:]}{where}"
