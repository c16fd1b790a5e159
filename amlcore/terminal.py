"""The terminal: amlcore's own words, and JSON for programs."""

from __future__ import annotations

import json
import sys
from typing import Any

from amlcore.record import strict


def say(line: str) -> None:
    """Print amlcore's own words: on stderr, since stdout belongs to the script and to --json."""
    print(f"aml: {line}", file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """Print one strict JSON document on stdout."""
    text = json.dumps(strict(value), indent=2, ensure_ascii=False, allow_nan=False)
    # Half of a surrogate pair is no UTF-8; as \\udcXX it is JSON all the same.
    print(text.encode("utf-8", "backslashreplace").decode("utf-8"))
