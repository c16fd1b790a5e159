"""Where uv looks for packages: the options for its requirements file, and those for its command line."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from amlcore.environment.specification import ARCHIVES, OF_COMMAND_LINE, Specification, split_hashes

_OF_RESOLVER = {"--prerelease", "--resolution", "--exclude-newer"}
_INDEXES = ("--index-url", "--extra-index-url", "--index", "--default-index")
_FURTHER_INDEXES = ("--extra-index-url", "--index")
_COMMIT = re.compile(r"@[0-9a-f]{40}(#|$)")
# Variables of uv with which the same requirements resolve to other packages.
_VARIABLES = (
    *("UV_CONSTRAINT", "UV_DEFAULT_INDEX", "UV_EXCLUDE_NEWER", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_INDEX"),
    *("UV_INDEX_STRATEGY", "UV_INDEX_URL", "UV_NO_BINARY", "UV_NO_BUILD", "UV_OVERRIDE", "UV_PRERELEASE"),
    "UV_RESOLUTION",
)
BEST_MATCH_NOTE = (
    "the newest version in all indexes is used, as pip does; the line `--index-strategy first-index` changes that"
)


def file_lines(options: Sequence[str]) -> list[str]:
    """The options that uv reads from a requirements file."""
    return [option for option in options if option != "--pre" and _name(option) not in OF_COMMAND_LINE]


def command_line_flags(options: Sequence[str], *, installing: bool = False) -> list[str]:
    """The arguments of uv's command line for the other options, and for pip's behavior with several indexes."""
    arguments = ["--prerelease", "allow"] if "--pre" in options and not installing else []
    for option in options:
        if _name(option) in OF_COMMAND_LINE and not (installing and _name(option) in _OF_RESOLVER):
            arguments += option.split(None, 1)
    return [*arguments, *(["--index-strategy", "unsafe-best-match"] if uses_best_match(options) else [])]


def uses_best_match(options: Sequence[str]) -> bool:
    """Whether several indexes are listed and the user did not say how to choose between them."""
    named = {_name(option) for option in options}
    is_set = "--index-strategy" in named or "UV_INDEX_STRATEGY" in os.environ
    return not is_set and "--no-index" not in named and not named.isdisjoint(_FURTHER_INDEXES)


def external_state(options: Sequence[str]) -> list[object]:
    """What a resolution depends on besides its text: the archives in folders, and uv's own variables."""
    state: list[object] = [(name, os.environ[name]) for name in _VARIABLES if name in os.environ]
    for option in options:
        if _name(option) == "--find-links" and "://" not in option:
            folder = Path(option.split(None, 1)[1])
            entries = sorted(folder.iterdir()) if folder.is_dir() else []
            stats = [
                (entry.name, entry.stat()) for entry in entries if entry.name.endswith(ARCHIVES) and entry.is_file()
            ]
            state += [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
    return state


def reason_to_resolve_again(specification: Specification) -> str | None:
    """Why an earlier resolution may be out of date, which only a new one would show; None if it cannot be."""
    for requirement in specification.requirements:
        address = re.search(r"\w[\w+.-]*://\S+", split_hashes(requirement)[0])
        if address is not None and not _COMMIT.search(address[0]) and "#sha256=" not in address[0]:
            return "a branch" if address[0].startswith("git+") else "an address"
    if all("--hash" in requirement for requirement in specification.requirements):
        return None
    remote = (option for option in specification.options if "://" in option and _name(option) == "--find-links")
    if any(_name(option) in _INDEXES for option in specification.options) or any(remote):
        return "its own index"
    return None


def advice_on(lines: Sequence[str]) -> str:
    """How to follow uv's hints in amlcore: they mention flags of uv's command line."""
    named = dict.fromkeys(flag for line in lines for flag in re.findall(r"`(--[a-z][a-z-]*(?:[ =][\w.:/-]+)?)`", line))
    usable = [flag.replace("=", " ") for flag in named if _name(flag) in OF_COMMAND_LINE]
    if not usable:
        return ""
    listed = " or ".join(f"`{flag}`" for flag in usable)
    return f"\nwith amlcore, write {listed} as a line of the requirements file or an item of environment.add"


def _name(option: str) -> str:
    return re.split(r"[ =]", option, maxsplit=1)[0]
