"""What amlcore prints: its own messages, and JSON for programs."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from amlcore.record.record import strict
from amlcore.worker.root import find_root

# C0 except tab and newline, DEL, C1, lone surrogates, and marks that change the direction of the text around them.
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_CONTROL = re.compile(f"[{_CONTROLS}]")
_CONTROL_OR_BREAK = re.compile(f"[{_CONTROLS}\t\n\u2028\u2029]")
_UNESCAPED_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""`text` with control characters escaped, as `\x1b`, so that a terminal shows them and never obeys them."""
    return _CONTROL.sub(_escaped, text.replace("\r\n", "\n"))


def printable_line(text: str) -> str:
    """The same on one line: line breaks and tabs are escaped too."""
    return _CONTROL_OR_BREAK.sub(_escaped, text)


def log(line: str) -> None:
    """Print one of amlcore's own messages, on stderr: stdout belongs to the script and to --json."""
    print(f"aml: {printable(line)}", file=sys.stderr, flush=True)


def print_line(line: str) -> None:
    """Print a line on stderr as it is; a background process has driver.log there."""
    print(line, file=sys.stderr, flush=True)


def log_none(of: str, root: Path) -> None:
    """Log that the workspace at `root` has no `of` (such as runs), or that `root` is not in a workspace."""
    if find_root(str(root)) is None:
        log(
            f"no {of}: {root} is not in a workspace; "
            "`aml init DIR` writes a project, `aml run SCRIPT.py` starts a workspace here"
        )
    else:
        log(f"no {of} in {root} yet")


def print_json(value: Any) -> None:
    """Print one strict JSON document on stdout."""
    text = json.dumps(strict(value), indent=2, ensure_ascii=False, allow_nan=False)
    print(_UNESCAPED_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    short = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}
    return short.get(match[0]) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
