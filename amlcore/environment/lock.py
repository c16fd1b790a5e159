"""The lock: every package with its exact version and hashes, as a requirements file."""

import json
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from amlcore.environment.interpreter import Interpreter
from amlcore.environment.resolver_options import command_line_flags, file_lines
from amlcore.environment.specification import Specification, split_hashes
from amlcore.environment.uv import run_uv
from amlcore.errors import BuildError
from amlcore.log import Log, timed

_COMPILE = (
    "pip",
    "compile",
    "requirements.in",
    "--output-file",
    "lock.txt",
    "--generate-hashes",
    "--no-header",
    "--no-annotate",
    "--no-emit-index-url",
    "--no-emit-find-links",
)


@timed
def resolve(
    specification: Specification, *, name: str, interpreter: Interpreter, guard: int, log: Log, refresh: bool = False
) -> str:
    """Resolve the lock for one interpreter.

    Parameters
    ----------
    refresh : bool
        Ask the index again for what uv has cached.

    Raises
    ------
    BuildError
        The message quotes the resolver.
    """
    lock = _compile(
        specification,
        python=interpreter.path,
        guard=guard,
        log=log,
        failure=f"environment '{name}' cannot be resolved for Python {interpreter.version}",
        asking=["--refresh"] if refresh else [],
    )
    return _only_asked_hashes(lock, specification.requirements)


def extend_lock(lock: str, requirements: list[str], *, python: Path, log: Log, offline: bool = False) -> str:
    """Add requirements and their dependencies to a lock; the packages in it keep their versions.

    With `offline`, only uv's cache is used, and no index is asked.

    Raises
    ------
    BuildError
        A requirement does not fit; the message quotes the resolver, which lists the packages.
    """
    locked = blocks(lock)
    pins = tuple(split_hashes(_joined(block))[0] for block in locked.values())
    wider = Specification(requirements=(*pins, *requirements), constraints=(), options=(), python=None, notes=())
    with tempfile.TemporaryFile() as no_guard:
        extended = blocks(
            _compile(
                wider,
                python=python,
                guard=no_guard.fileno(),
                log=log,
                failure=f"{', '.join(requirements)} does not fit the locked packages",
                asking=["--offline"] if offline else [],
            )
        )
    hashed = {name: block for name, block in locked.items() if "--hash" in block}
    return _text({**extended, **hashed})


def blocks(lock: str) -> dict[str, str]:
    """The packages of a lock by normalized name, each as its own lines with the hashes."""
    packages: dict[str, str] = {}
    name = ""
    for line in lock.splitlines():
        if line.lstrip().startswith("#") or not line.strip():
            continue
        if line[0].isspace():
            packages[name] += "\n" + line
        else:
            name = _name(line)
            packages[name] = line
    return packages


def pins(lock: str) -> dict[str, str]:
    """The exact version of each package of a lock that applies to the running interpreter, by normalized name."""
    from packaging.requirements import Requirement

    versions = {}
    for name, block in blocks(lock).items():
        requirement = Requirement(split_hashes(_joined(block))[0])
        if requirement.marker is None or requirement.marker.evaluate():
            versions[name] = str(requirement.specifier).removeprefix("==")
    return versions


def has_hashes(lock: str) -> bool:
    return all("--hash" in block for block in blocks(lock).values())


def installed_lock() -> tuple[str, tuple[str, ...]]:
    """The packages of the running interpreter as a lock without hashes, and notes on those that no index has.

    Packages that were installed from a folder become comments: another machine cannot install them.
    """
    packages: dict[str, tuple[str, bool]] = {}
    for name, version, from_folder in _distributions():
        packages.setdefault(_normalized(name), (version, from_folder))
    local = sorted(name for name, (_, from_folder) in packages.items() if from_folder)
    comments = [f"# {name}=={packages[name][0]} was installed from a folder" for name in local]
    pins = [f"{name}=={packages[name][0]}" for name in sorted(packages) if name not in local]
    notes = [f"{name} was installed from a folder: another machine cannot install it" for name in local]
    # amlcore adds its own worker to every environment, and no script needs the rest of it.
    shown_notes = tuple(note for note in notes if not note.startswith("amlcore "))
    return "".join(f"{line}\n" for line in [*comments, *pins]), shown_notes


def _distributions() -> Iterator[tuple[str, str, bool]]:
    """Name and version of each installed distribution, and whether it was installed from a folder.

    The folder's name has the first two (https://packaging.python.org/en/latest/specifications/recording-installed-packages/),
    which is a hundred times faster than reading each METADATA.
    """
    from importlib.metadata import PathDistribution

    for folder in sys.path:
        for path in sorted(Path(folder or ".").glob("*.dist-info")):
            name, _, version = path.stem.removesuffix(".dist-info").partition("-")
            yield name, version, _from_folder(path)
        for egg in sorted(Path(folder or ".").glob("*.egg-info")):
            distribution = PathDistribution(egg)
            if distribution.metadata["Name"]:
                yield distribution.metadata["Name"], distribution.version, False


def _from_folder(path: Path) -> bool:
    try:
        source = json.loads((path / "direct_url.json").read_bytes())
    except (OSError, ValueError):
        return False
    return str(source.get("url", "")).startswith("file:")


def _compile(
    specification: Specification, *, python: Path, guard: int, log: Log, failure: str, asking: Sequence[str] = ()
) -> str:
    """Resolve a specification; dependencies take amlcore's own versions where they fit.

    A model that is trained in this environment can then usually be served in it, too.
    """
    options = specification.options
    with tempfile.TemporaryDirectory(prefix="amlcore-lock-") as name:
        folder = Path(name)
        _write_lines(folder / "requirements.in", [*file_lines(options), *specification.requirements])
        constraints = []
        if specification.constraints:
            _write_lines(folder / "constraints.txt", specification.constraints)
            constraints = ["--constraints", "constraints.txt"]
        # uv prefers the pins of the file that it writes.
        requested = {_name(requirement) for requirement in specification.requirements}
        own = [block for name, block in blocks(installed_lock()[0]).items() if name not in requested]
        _write_lines(folder / "lock.txt", own)
        arguments = [*_COMPILE, *constraints, "--python", str(python), *command_line_flags(options), *asking]
        run_uv(arguments, folder=folder, guard=guard, log=log).require(failure)
        return (folder / "lock.txt").read_text(encoding="utf-8")


def _only_asked_hashes(lock: str, requirements: Sequence[str]) -> str:
    """Keep only the hashes that a requirement lists, for each package where it lists any."""
    requested: dict[str, set[str]] = {}
    for requirement in requirements:
        text, hashes = split_hashes(requirement)
        if hashes:
            requested.setdefault(_name(text), set()).update(hashes)
    packages = blocks(lock)
    for name, named_hashes in requested.items():
        if name in packages:
            packages[name] = _restricted(packages[name], named_hashes)
    return _text(packages) if requested else lock


def _restricted(block: str, hashes: set[str]) -> str:
    pin, offered = split_hashes(_joined(block))
    matching = [one for one in offered if one in hashes]
    if not matching:
        raise BuildError(
            f"{pin}: no file in the index has a hash that the requirement lists: {', '.join(sorted(hashes))}"
        )
    return " \\\n".join([pin, *(f"    --hash={one}" for one in matching)])


def _joined(block: str) -> str:
    return re.sub(r"\s*\\\n\s*", " ", block)


def _text(packages: dict[str, str]) -> str:
    return "".join(f"{block}\n" for _, block in sorted(packages.items()))


def _name(line: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", line)
    return _normalized(match[0]) if match else line


def _normalized(name: str) -> str:
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
