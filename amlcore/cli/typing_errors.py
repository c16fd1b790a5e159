"""Words of a command line that cannot be what was meant, whatever the verb."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection
from pathlib import Path

from amlcore.errors import RequestError
from amlcore.workspace import Workspace

DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
"""What word processors and chats make of a hyphen."""


def check_dashes(words: list[str], flags: Collection[str]) -> None:
    """Refuse an option with a dash too few, or with one that only looks like a hyphen."""
    for word in words[: words.index("--")] if "--" in words else words:
        if (word[0:1] and word[0] in DASHES) or re.match(f"-[{DASHES}]", word):
            typed = f"--{word.lstrip(DASHES + '-')}" if len(word.lstrip(DASHES + "-")) > 1 else f"-{word[1:]}"
            raise RequestError(f"'{word}' begins with a dash that is not a hyphen; did you mean {typed}?")
        if word[0:1] == "-" and f"-{flag_of(word)}" in flags and flag_of(word) not in flags:
            raise RequestError(f"unknown option {word}; did you mean -{word}?")


def notebook(path: str) -> str:
    """How to run a notebook, which is not a script."""
    script = shlex.quote(str(Path(path).with_suffix(".py")))
    return (
        f"'{path}' is a notebook; convert it first: jupyter nbconvert --to script {shlex.quote(path)}, "
        f"then aml run {script}"
    )


def is_run(word: str) -> bool:
    """Whether `word` is the id of a run here, or the beginning of one."""
    if word == "latest":
        return True
    try:
        return any(folder.name.startswith(word) for folder in Workspace.at().run_folders)
    except (RequestError, OSError):
        return False


def flag_of(word: str) -> str:
    """The option in `word`, without a value that is joined to it by `=`."""
    return word.partition("=")[0]
