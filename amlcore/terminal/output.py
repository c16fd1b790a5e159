"""The terminal: amlcore's own words, and JSON for programs."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from amlcore.record.record import strict
from amlcore.worker.root import find_root

# C0 but for tab and newline, DEL and C1, half surrogates, and what turns the direction of the text around it.
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_CONTROL = re.compile(f"[{_CONTROLS}]")
_CONTROL_OR_BREAK = re.compile(f"[{_CONTROLS}\t\n\u2028\u2029]")
_UNESCAPED_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""`text` with control characters spelled out, as `\x1b`, so that a terminal shows and never obeys them."""
    return _CONTROL.sub(_spelled, text.replace("\r\n", "\n"))


def printable_line(text: str) -> str:
    """The same on one line: breaks and tabs are spelled out too."""
    return _CONTROL_OR_BREAK.sub(_spelled, text)


def log(line: str) -> None:
    """Print amlcore's own words: on stderr, since stdout belongs to the script and to --json."""
    print(f"aml: {printable(line)}", file=sys.stderr, flush=True)


def print_line(line: str) -> None:
    """Print a line on stderr as it is: a background process's goes to driver.log."""
    print(line, file=sys.stderr, flush=True)


def log_none(of: str, root: Path) -> None:
    """Say that there are no `of`, runs for instance, in the workspace at `root`, or that it is not one."""
    if find_root(str(root)) is None:
        log(f"no {of}: {root} is not in a workspace; `aml init DIR` writes a project, `aml run SCRIPT.py` begins here")
    else:
        log(f"no {of} in {root} yet")


def print_json(value: Any) -> None:
    """Print one strict JSON document on stdout."""
    text = json.dumps(strict(value), indent=2, ensure_ascii=False, allow_nan=False)
    print(_UNESCAPED_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


def _spelled(match: re.Match[str]) -> str:
    code = ord(match[0])
    known = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}
    return known.get(match[0]) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
