"""References that cannot be resolved: one message for each error of OmegaConf about `${…}`."""

from __future__ import annotations

import re
from collections.abc import Callable

from amlcore.config.grammar.scalars import key_parts, nouns_at
from amlcore.config.job import Job
from amlcore.config.schema_keys import suggest_key
from amlcore.errors import suggest
from amlcore.worker.references import not_set

NO_VARIABLE = re.compile(r"KeyError raised while resolving interpolation: .*Environment variable '([^']*)' not found")
NO_RESOLVER = re.compile(r"Unsupported interpolation type (\S+)")
NO_KEY = re.compile(r"Interpolation key '([^']*)' not found")
WHOLE_GROUP = re.compile(r"While dereferencing interpolation '([^']*)': Cannot convert '(?:Dict|List)Config'")
WRONG_CALL = re.compile(r"\w+ raised while resolving interpolation: (.*)")
IN_CHOICE = re.compile(r"Error resolving interpolation '([^']*)'")
RESOLVERS = ("oc.env", "oc.decode", "oc.select", "oc.create", "oc.dict.keys", "oc.dict.values", "input")
FORMS = "use ${oc.env:NAME} for an environment variable, ${KEY} for another key"


def explain_interpolation(message: str) -> str | None:
    """What is wrong with a reference, and what would be right; None if OmegaConf's `message` is about another thing."""
    explanations: tuple[tuple[re.Pattern[str], Callable[..., str]], ...] = (
        (NO_VARIABLE, not_set),
        (NO_RESOLVER, lambda name: f"${{{name}:…}}: no such resolver; {suggest(name, RESOLVERS)}"),
        (NO_KEY, _no_key),
        (WHOLE_GROUP, lambda reference: f"{reference} is a group of keys, not a value; refer to one of its keys"),
        (re.compile("Recursive interpolation"), lambda: f"refers to itself; {FORMS}"),
        (re.compile("(missing BRACE_CLOSE)"), lambda _: f"a ${{ has no }} that closes it; {FORMS}"),
        (WRONG_CALL, lambda why: f"cannot resolve the reference ({why}); {FORMS}, ${{oc.env:NAME,TEXT}} for a default"),
    )
    for pattern, explain in explanations:
        if match := pattern.match(message):
            return explain(*match.groups())
    return f"cannot resolve the reference ({message}); {FORMS}" if "nterpolation" in message else None


def _no_key(key: str) -> str:
    if key == "oc.env":
        return f"${{{key}}}: no such key; {FORMS}"
    noun = next(iter(nouns_at(key_parts(key)[:-1])), Job)
    return f"${{{key}}}: no such key; {suggest_key(key, noun)}"
