"""Lists of requirements on the command line: several become one, and each requirement gets the quotes it needs."""

from __future__ import annotations

import re

_LIST = re.compile(r"(?P<key>\+{0,2}environment\.(?:add|packages)=)\[(?P<items>.*)\]", re.DOTALL)
_ADDED = re.compile(r"\+environment\.(?:add|packages)=")
_CONTINUED = re.compile(r"\s*(===|[<>=!~]=|[<>])")


def merge_requirement_lists(overrides: list[str]) -> list[str]:
    """The overrides with all `+environment.packages=[…]` as one list, since Hydra 1.3 cannot append to a list."""
    renamed = [_ADDED.sub("environment.add=", item) if _ADDED.match(item) else item for item in overrides]
    matches = [match for item in renamed if (match := _LIST.fullmatch(item)) and match["key"] == "environment.add="]
    lists = [match for match in matches if split_items(match["items"])]
    if renamed == overrides or len(lists) < 2:
        return renamed
    whole = f"environment.add=[{','.join(match['items'] for match in lists)}]"
    return [*(item for item in renamed if item not in [match[0] for match in lists]), whole]


def quote_requirements(override: str) -> str:
    """The override with quotes around each requirement of its list that has none; any other override unchanged."""
    match = _LIST.fullmatch(override)
    pieces = None if match is None else split_items(match["items"])
    if match is None or not pieces:
        return override
    requirements: list[str] = []
    for piece in pieces:
        if requirements and _CONTINUED.match(piece):  # the second bound of scikit-learn>=1,<2
            requirements[-1] += f",{piece}"
        else:
            requirements.append(piece)
    return f"{match['key']}[{','.join(map(_quoted, requirements))}]"


def split_items(items: str) -> list[str] | None:
    """The items between commas that are outside quotes and brackets; None if the brackets do not match."""
    pieces, depth, quote = [""], 0, ""
    for letter in items:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "[(":
            depth += 1
        elif letter in "])":
            depth -= 1
        elif letter == "," and depth == 0:
            pieces.append("")
            continue
        if depth < 0:
            return None
        pieces[-1] += letter
    return pieces if any(piece.strip() for piece in pieces) else None


def _quoted(requirement: str) -> str:
    text = requirement.strip()
    if not text or text[0] in "'\"" or "${" in text or ("'" in text and '"' in text):
        return requirement
    return f'"{text}"' if "'" in text else f"'{text}'"
