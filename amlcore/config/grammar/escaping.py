"""Text that means itself: escaped for OmegaConf's interpolations, and quoted for Hydra's overrides."""

from __future__ import annotations

import re
from typing import Any

from amlcore.config.versions import QUESTION_MARKS_TEXT, register_resolver

# OmegaConf takes the text `???` for a value that is not set; this interpolation gives the text itself.
register_resolver("question_marks", lambda: QUESTION_MARKS_TEXT)
QUESTION_MARKS = "${question_marks:}"


def quote_value(text: str) -> str:
    """`text` as a quoted string of Hydra's override grammar, where a backslash only escapes a quote or `${`."""
    if text == "???":
        return f"'{QUESTION_MARKS}'"
    escaped = re.sub(r"(\\*)(['\"]|\$\{|$)", _escape, text)
    return f"'{escaped}'"


def _escape(match: re.Match[str]) -> str:
    backslashes, special = match[1], match[2]
    if special == '"':
        return match[0]
    return backslashes * 2 + (f"\\{special}" if special else "")


def escape_interpolations(value: Any) -> Any:
    """`value` with its texts escaped: they were resolved before and must not be resolved again."""
    if value == "???":
        return QUESTION_MARKS
    if isinstance(value, str):
        return re.sub(r"(\\*)(\$\{)", r"\1\1\\\2", value)
    if isinstance(value, dict):
        return {key: escape_interpolations(item) for key, item in value.items()}
    return [escape_interpolations(item) for item in value] if isinstance(value, list) else value
