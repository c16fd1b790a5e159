"""Words on a command line that are never what was meant, whatever the verb."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection
from pathlib import Path

from amlcore.errors import RequestError
from amlcore.workspace import Workspace

DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
"""What word processors and chat programs turn a hyphen into."""


def check_dashes(words: list[str], flags: Collection[str]) -> None:
    """Refuse an option that lacks a dash, or whose dash is not a hyphen."""
    for word in words[: words.index("--")] if "--" in words else words:
        if (word[0:1] and word[0] in DASHES) or re.match(f"-[{DASHES}]", word):
            typed = f"--{word.lstrip(DASHES + '-')}" if len(word.lstrip(DASHES + "-")) > 1 else f"-{word[1:]}"
            raise RequestError(f"'{word}' begins with a dash that is not a hyphen; did you mean {typed}?")
        if word[0:1] == "-" and f"-{flag_of(word)}" in flags and flag_of(word) not in flags:
            raise RequestError(f"unknown option {word}; did you mean -{word}?")


def notebook(path: str) -> str:
    """The message about a notebook in place of a script."""
    script = shlex.quote(str(Path(path).with_suffix(".py")))
    return (
        f"'{path}' is a notebook; convert it first: jupyter nbconvert --to script {shlex.quote(path)}, "
        f"then aml run {script}"
    )


def is_run(word: str) -> bool:
    """Whether `word` is the id of a run in this workspace, or the beginning of one."""
    if word == "latest":
        return True
    try:
        return any(folder.name.startswith(word) for folder in Workspace.at().run_folders)
    except (RequestError, OSError):
        return False


def flag_of(word: str) -> str:
    """The option in `word`, without its value after `=`."""
    return word.partition("=")[0]
