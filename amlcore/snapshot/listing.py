"""A source folder: its files and links without the ignored ones, and its largest parts."""

import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from amlcore.errors import SnapshotError
from amlcore.snapshot.ignore import IgnoreRules

CULPRITS = 5


@dataclass(frozen=True)
class SourceFile:
    path: str
    """Relative to the source folder, with `/`."""
    stat: os.stat_result


@dataclass
class SourceListing:
    """The files and links of a source folder, without the ignored ones."""

    folder: Path
    files: list[SourceFile] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    is_whole: bool = True  # false if the listing stopped at too many files

    @property
    def size_bytes(self) -> int:
        return sum(file.stat.st_size for file in self.files)

    @property
    def heaviest(self) -> list[str]:
        """The largest folders and files, each with its size."""
        weights = {file.path: file.stat.st_size for file in self.files}
        return [f"{path} ({megabytes(weight)})" for path, weight in _culprits(weights)]

    @property
    def fullest(self) -> list[str]:
        """The folders with the most files, each with their number."""
        culprits = _culprits(dict.fromkeys((file.path for file in self.files), 1))
        return [f"{path} ({count} files)" for path, count in culprits if path.endswith("/")]


def list_source(source: Path, *, exclude: Sequence[Path] = (), at_most: float = math.inf) -> SourceListing:
    """List `source` without its ignored files, and without the folders `exclude`, which no rule can include.

    The listing stops after `at_most` files.

    Raises
    ------
    SnapshotError
        `source` is not a folder, cannot be read, or has a link or a name that cannot be stored.
    """
    if not source.is_dir():
        raise SnapshotError(f"the source folder {source} {'is a file' if source.exists() else 'does not exist'}")
    listing = SourceListing(source)
    rules = IgnoreRules(source)
    hidden = {path.resolve() for path in exclude}
    real = source.resolve()
    pending = [""]
    while pending:
        prefix = pending.pop()
        for entry in _entries(source / prefix):
            if len(listing.files) > at_most:
                listing.is_whole = False
                pending.clear()
                break
            path = prefix + _readable(entry.name, folder=source / prefix)
            if entry.is_symlink():
                here = Path(entry.path)
                if Path(os.path.realpath(here)) not in hidden and not rules.leaves_out_link(path, on_disk=here):
                    listing.links.append((path, _target(source, path)))
            elif entry.is_dir():
                if real / path not in hidden and not rules.leaves_out_folder(path, on_disk=Path(entry.path)):
                    pending.append(path + "/")
            elif entry.is_file() and not rules.leaves_out_file(path):
                # Sockets, pipes and devices have no content to copy.
                listing.files.append(SourceFile(path, _stat(entry)))
    listing.files.sort(key=lambda file: file.path)
    listing.links.sort()
    return listing


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        raise unreadable_source(folder, error) from None


def _stat(entry: os.DirEntry[str]) -> os.stat_result:
    try:
        return entry.stat(follow_symlinks=False)
    except OSError as error:
        raise unreadable_source(Path(entry.path), error) from None


def unreadable_source(path: Path, error: OSError) -> SnapshotError:
    return SnapshotError(f"{path} cannot be read ({error.strerror}); make it readable, or add it to .amlignore")


def _readable(name: str, *, folder: Path) -> str:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise SnapshotError(
            f"{os.fsencode(name)!r} in {folder} is not a valid UTF-8 name; rename it, or add its folder to .amlignore"
        ) from None
    return name


def _target(source: Path, path: str) -> str:
    """The target of the link at `path`, relative to its folder; refused if it leaves `source`."""
    link = source / path
    target = link.readlink()
    lexical = os.path.normpath(Path(path).parent / target)
    leaves = target.is_absolute() or lexical.split("/")[0] == ".."
    if leaves or not Path(os.path.realpath(link)).is_relative_to(source.resolve()):
        raise SnapshotError(
            f"the link {path} leads to {target}, outside the source folder {source} or by an absolute path; "
            "copy its target, declare it as an input (script.inputs), or add the link to .amlignore"
        )
    return str(target)


def _culprits(weights: dict[str, int]) -> list[tuple[str, int]]:
    """The heaviest paths; a folder is replaced by the one entry that makes up most of it, if there is one."""
    totals: Counter[str] = Counter(weights)
    children: dict[str, set[str]] = {}
    for path, weight in weights.items():
        child = path
        while child:
            parent = child.rstrip("/").rpartition("/")[0]
            parent = parent + "/" if parent else ""
            children.setdefault(parent, set()).add(child)
            if parent:
                totals[parent] += weight
            child = parent
    return sorted(
        (_narrowed(path, totals=totals, children=children) for path in children.get("", ())),
        key=lambda culprit: (-culprit[1], culprit[0]),
    )[:CULPRITS]


def _narrowed(path: str, *, totals: Counter[str], children: dict[str, set[str]]) -> tuple[str, int]:
    while path in children:
        largest = max(children[path], key=lambda child: totals[child])
        if totals[largest] < 0.8 * totals[path]:
            break
        path = largest
    return path, totals[path]
