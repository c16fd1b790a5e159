"""What is wrong with an override that Hydra's grammar cannot read: the item, and the override with it in quotes."""

from __future__ import annotations

import re

from hydra.errors import HydraException, OverrideParseException

from amlcore.config.grammar.escaping import quote_value
from amlcore.config.grammar.override_parser import parser
from amlcore.config.grammar.requirement_lists import split_items

LIST = re.compile(r"(?P<open>\[|(?:choice|shuffle|sort)\(|)(?P<items>.*?)(?P<close>[\])]|)", re.DOTALL)
NESTED = re.compile(r"(?<!\\)\$\{[^{}]*\$\{[^{}]*\}[^{}]*\}")
CALL = re.compile(r"\w+\(")


def explain_syntax(error: OverrideParseException) -> str:
    """One message for an override that cannot be read."""
    override = error.override or ""
    key, _, value = override.partition("=")
    unreadable = f"'{override}' on the command line cannot be read"
    match = LIST.fullmatch(value)
    items = split_items(match["items"]) if match else None
    if match and items:
        culprit = next((item for item in items if not _is_readable(item)), None)
        if culprit is not None and not culprit.strip():
            return f"{unreadable}: an item between two commas is missing; an empty text is ''"
        if culprit is not None and not CALL.match(culprit.strip()):
            quoted = [item if _is_readable(item) else _quoted(item.strip()) for item in items]
            fixed = f"{key}={match['open']}{','.join(quoted)}{match['close']}"
            if _is_readable(fixed.partition("=")[2]):
                return f"{unreadable}: put '{culprit.strip()}' in quotes of its own: {_for_shell(fixed)}"
    if CALL.match(value):
        return (
            f"{unreadable}: a range is choice(a,b), range(1,10), interval(0,1), int(interval(1,9)) or "
            "tag(log,interval(0.1,10)); put a text with brackets in quotes of its own, such as KEY=\"'f(x)'\""
        )
    message = re.sub(r"^\w*Exception: ", "", error.message.strip().partition("\n")[0])
    why = "" if override in message else f" ({message})"
    return (
        f"{unreadable}{why}: put a text with quotes, commas, brackets, spaces or non-ASCII letters in quotes of its "
        "own, such as KEY=\"'a, b'\""
    )


def _quoted(item: str) -> str:
    """The item in quotes; a reference inside another one, which the grammar takes only in quotes, stays one."""
    return f"'{item}'" if NESTED.search(item) and _is_readable(f"'{item}'") else quote_value(item)


def _is_readable(value: str) -> bool:
    try:
        parser().parse_override(f"key={value}")
    except HydraException:
        return False
    return bool(value.strip())


def _for_shell(override: str) -> str:
    """The override as it is typed in a shell."""
    if re.search(r'["$`!]|\\\\', override):
        return "'" + override.replace("'", "'\"'\"'") + "'"
    key, _, value = override.partition("=")
    return f'{key}="{value}"'
