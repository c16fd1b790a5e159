"""What the verbs of `aml` share: their parser, and the types of their options."""

from __future__ import annotations

import argparse
import math
import re
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from amlcore.errors import RequestError, must_be


class Parser(argparse.ArgumentParser):
    """An argument parser that raises its errors, without printing the usage."""

    def error(self, message: str) -> NoReturn:
        see = f" (see `{self.prog} --help`)" if "are required" in message else ""
        raise RequestError(f"{message.removeprefix('argument ')}{see}")

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            raise argparse.ArgumentError(action, f"'{value}': {must_be(str(value), choices)}")

    @property
    def flags(self) -> list[str]:
        """Every option as it is typed, dashes included."""
        return list(self._option_string_actions)


def _no_arguments(parser: Parser) -> None:
    """Leave the parser as it is."""


@dataclass(frozen=True)
class Verb:
    """A verb of `aml`: a one-line summary, its arguments, and its action."""

    summary: str
    action: Callable[[Namespace], int]
    add_arguments: Callable[[Parser], None] = _no_arguments
    epilog: str | None = None

    def parser(self, name: str) -> Parser:
        parser = Parser(
            prog=f"aml {name}",
            description=self.summary,
            epilog=self.epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,  # the lines of an epilog stay as they are
        )
        self.add_arguments(parser)
        return parser


def add_run(parser: Parser, metavar: str = "RUN", *, is_required: bool = True) -> None:
    parser.add_argument(
        "run",
        metavar=metavar,
        nargs=None if is_required else "?",
        type=run_id,
        help="an id, the beginning of one if it is unique, a name (see `aml name`), or `latest`",
    )


def add_json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")


def run_id(text: str) -> str:
    """The id of a run, which may be given by the path of its folder too."""
    return text.rstrip("/").rpartition("/")[2] or text


def nonempty(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, not {text}")
    return int(text)


AGES = {"w": 604800.0, "d": 86400.0, "h": 3600.0, "min": 60.0, "s": 1.0}
"""The units of an age, in seconds."""


def duration_s(text: str) -> float:
    number, unit = re.fullmatch(r"([0-9.]*)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    try:
        seconds = float(number) * AGES[unit]
    except (ValueError, KeyError):
        raise argparse.ArgumentTypeError(
            f"must be a number and one of {', '.join(AGES)}, such as 90d, not {text}"
        ) from None
    return seconds


def days(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not number >= 0:
        raise argparse.ArgumentTypeError(f"must be a number of days, 0 or more, not {text}")
    return number


def port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"must be a port from 1 to 65535, not {text}")
    return int(text)
