"""Suggestions for a verb or an option that does not exist."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from amlcore.cli.parser import Verb
from amlcore.cli.run import run_parser
from amlcore.cli.typos import check_dashes, flag_of, is_run, notebook
from amlcore.errors import RequestError, suggest

SYNONYMS = {
    "runs": ("list", "ls", "ps", "jobs", "experiments", "history"),
    "show": ("status", "info", "describe", "details", "metrics"),
    "logs": ("output", "tail", "follow"),
    "cancel": ("stop", "kill", "abort"),
    "run": ("train", "submit", "start", "execute"),
    "run -m": ("sweep", "tune", "multirun", "search"),
    "rerun": ("retry", "restart", "repeat"),
    "resume": ("continue",),
    "deploy": ("package", "build", "bento", "publish"),
    "serve": ("endpoint",),
    "env": ("environment", "environments", "conda", "venv"),
    "ui": ("dashboard", "browser"),
    "init": ("new", "create"),
    "doctor": ("diagnose",),
    "keys": ("tokens",),
    "--version": ("version",),
}
"""What other tools call our verbs."""
VERB_OF = {synonym: verb for verb, synonyms in SYNONYMS.items() for synonym in synonyms}


def unknown_verb(words: list[str], verbs: Mapping[str, Verb]) -> RequestError:
    """The error for a command line whose first word is not a verb."""
    word, further = words[0], words[1:]
    check_dashes(words, ["--help", "--version", "--verbose", "--shell-completion"])
    if word.startswith("-"):
        return _unknown_option(word, further, verbs)
    if word.endswith(".ipynb"):
        return RequestError(notebook(word))
    if "=" in word or word.endswith(".py") or Path(word).is_file():
        return RequestError(f"'{word}' is not a verb; did you mean `{shlex.join(['aml', 'run', *words])}`?")
    names = ["run", "help", *(name for name in verbs if " " not in name)]
    near = VERB_OF.get(word.lower()) or next(iter(get_close_matches(word.lower(), names, n=1)), None)
    if near is None and is_run(word):
        return RequestError(f"'{word}' is a run, not a verb; did you mean `{shlex.join(['aml', 'show', *words])}`?")
    if near is not None:
        return RequestError(f"unknown verb '{word}'; did you mean `{shlex.join(['aml', *near.split(), *further])}`?")
    return RequestError(f"unknown verb '{word}'; available: {', '.join(sorted(names))}")


def unexpected(words: list[str], name: str, verbs: Mapping[str, Verb]) -> RequestError:
    """The error for `words` that the verb called `name` does not take."""
    option = next((word for word in words if word.startswith("-")), None)
    if option is not None:
        flags = [flag for flag in verbs[name].parser(name).flags if flag.startswith("--")]
        hint = _takers_in_words(option, verbs) or suggest(flag_of(option), flags)
        return RequestError(f"unknown option {option} for `aml {name}`; {hint}")
    nested = [other for other in verbs if other.startswith(f"{name} ")]
    if nested:
        return RequestError(f"unknown verb '{name} {words[0]}'; {suggest(f'{name} {words[0]}', nested)}")
    return RequestError(f"unexpected argument '{words[0]}' (see `aml {name} --help`)")


def _unknown_option(option: str, further: list[str], verbs: Mapping[str, Verb]) -> RequestError:
    """The error for an option in place of a verb."""
    near = get_close_matches(flag_of(option), ["--help", "--version", "--verbose"], n=1, cutoff=0.7)
    takers = _takers(option, verbs)
    if near:
        hint = f"did you mean {near[0]}?"
    elif len(takers) == 1:
        hint = f"did you mean `{shlex.join(['aml', *takers[0].split(), option, *further])}`?"
    else:
        hint = _takers_in_words(option, verbs) or "an option of a verb comes after it (see `aml --help`)"
    return RequestError(f"unknown option {option}; {hint}")


def _takers_in_words(option: str, verbs: Mapping[str, Verb]) -> str:
    takers = _takers(option, verbs)
    return f"{', '.join(f'`aml {name}`' for name in takers)} take{'s' if len(takers) == 1 else ''} it" if takers else ""


def _takers(option: str, verbs: Mapping[str, Verb]) -> list[str]:
    """The verbs that do take `option`."""
    flags = {"run": run_parser().flags, **{name: verb.parser(name).flags for name, verb in verbs.items()}}
    return [name for name in flags if flag_of(option) in flags[name]]
