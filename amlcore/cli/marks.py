"""The verbs that mark runs and models: tag, note, name."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from amlcore.cli.parser import Parser, Verb, add_json, add_run
from amlcore.errors import RequestError
from amlcore.terminal.output import log, print_json, printable, printable_line
from amlcore.workspace import Workspace

if TYPE_CHECKING:
    from amlcore.app.marks import Shown


def _add_tag(parser: Parser) -> None:
    _add_marked(parser)
    parser.add_argument("tags", metavar="KEY=VALUE", nargs="*", help="a tag to set; without any, the tags are printed")
    parser.add_argument("--remove", metavar="KEY", action="append", default=[], help="remove this tag; may be repeated")
    add_json(parser)


def tag(options: Namespace) -> int:
    from amlcore.app import marks

    tags = dict(map(_pair, options.tags))
    shown = marks.tag(Workspace.at(), options.run, tags=tags, remove=options.remove)
    if options.json:
        print_json(shown.facts)
    elif tags or options.remove:
        log(f"{shown.label}: {', '.join([*options.tags, *(f'{key} removed' for key in options.remove)])}")
    else:
        for key, value in shown.facts["tags"].items():
            print(printable_line(f"{key}={value}"))
    return 0


def _pair(word: str) -> tuple[str, str]:
    key, separator, value = word.partition("=")
    if not separator:
        raise RequestError(f"'{word}' is not a tag; use KEY=VALUE, such as {word}=yes, or --remove {word}")
    return key, value


def _add_note(parser: Parser) -> None:
    _add_marked(parser)
    parser.add_argument("text", metavar="TEXT", nargs="?", help="the new note; without one, the note is printed")
    parser.add_argument("--remove", action="store_true", help="remove the note")
    add_json(parser)


def note(options: Namespace) -> int:
    from amlcore.app import marks

    _check_one(options.text, options.remove, of="TEXT")
    shown = marks.note(Workspace.at(), options.run, options.text, remove=options.remove)
    _print(shown, "note", options, is_new=options.text is not None or options.remove)
    return 0


def _add_name(parser: Parser) -> None:
    add_run(parser)
    parser.add_argument("name", metavar="NAME", nargs="?", help="the new name; without one, the name is printed")
    parser.add_argument("--remove", action="store_true", help="remove the name")
    add_json(parser)


def name(options: Namespace) -> int:
    from amlcore.app import marks

    _check_one(options.name, options.remove, of="NAME")
    shown = marks.name(Workspace.at(), options.run, options.name, remove=options.remove)
    _print(shown, "name", options, is_new=options.name is not None or options.remove)
    return 0


def _add_marked(parser: Parser) -> None:
    add_run(parser, "RUN|MODEL:VERSION")


def _check_one(text: str | None, remove: bool, *, of: str) -> None:
    if text is not None and remove:
        raise RequestError(f"--remove and {of} exclude each other")


def _print(shown: Shown, key: str, options: Namespace, *, is_new: bool) -> None:
    value = shown.facts[key]
    if options.json:
        print_json(shown.facts)
    elif is_new:
        log(f"{shown.label} {'has no' if value is None else 'has a new'} {key}")
    elif value is not None:
        print(printable(value))


VERBS = {
    "tag": Verb("tag a run or a model, or print its tags", tag, _add_tag),
    "note": Verb("write a note on a run or a model, or print it", note, _add_note),
    "name": Verb("name a run; its name may stand wherever a run may", name, _add_name),
}
