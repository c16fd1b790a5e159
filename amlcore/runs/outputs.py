"""The outputs of a run: moved out of its working copy, listed and hashed."""

from __future__ import annotations

import math
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from amlcore.record.record import Record
from amlcore.worker.files import write_json
from amlcore.worker.hashes import file_sha256
from amlcore.worker.process.links import keep_linked
from amlcore.worker.process.workcopy import MAX_STRAYS

NAMED = 5  # how many files one message names

MLFLOW_STORES = ("mlruns", "mlartifacts", "mlflow.db")
"""What MLflow writes to the working folder if it is told to keep its own store."""


def collect(record: Record) -> str | None:
    """Keep what the newest attempt wrote to ./outputs and ./logs, remove its copy, list and hash the outputs.

    Returns
    -------
    str or None
        What could not be kept, and why; None if everything was.
    """
    attempt = record.layout.attempt(record.attempt)
    claim = record.claim
    began = math.inf if claim is None else claim.at
    leading = [
        line for folder in (attempt.outputs, attempt.logs) for line in keep_linked(folder, str(record.folder), began)
    ]
    dropped_folders = [
        f"./{Path(source).name} was not a folder when the script ended, so nothing in it was kept"
        for source in (attempt.outputs, attempt.logs)
        if Path(source).is_symlink() or Path(source).is_file()
    ]
    for source, target in ((attempt.outputs, record.layout.outputs), (attempt.logs, record.layout.logs)):
        _move(Path(source), Path(target))
    for store in _mlflow_stores(record):
        store.rename(_free_name(Path(record.layout.outputs, store.name)))
    for number in os.listdir(record.layout.attempts):
        _remove(Path(record.layout.attempts, number, "work"))
    list_outputs(record)
    for child in map(Record, record.child_folders):
        if os.path.isdir(child.layout.outputs) and not os.path.exists(child.layout.config):  # the script started it
            list_outputs(child)
    more = len(leading[NAMED:])
    return "; ".join(dropped_folders + leading[:NAMED] + ([f"and {more} more links"] if more else [])) or None


def _mlflow_stores(record: Record) -> list[Path]:
    """What the newest attempt left of an MLflow store of its own: the script chose another address than its run."""
    result = record.result
    strays = None if result is None else result.strays
    are_all_named = strays is not None and len(strays) < MAX_STRAYS
    written = {Path(file.path).parts[0] for file in strays or []} if are_all_named else set(MLFLOW_STORES)
    work = Path(record.layout.attempt(record.attempt).work)
    stores = [work / name for name in MLFLOW_STORES if name in written]
    return [store for store in stores if store.exists() and not store.is_symlink()]


def list_outputs(record: Record) -> None:
    """List and hash the outputs, and the sample for the model if there is one."""
    outputs = Path(record.layout.outputs)
    inside = outputs.resolve()
    listing = [
        {"path": path.relative_to(record.folder).as_posix(), "size": path.stat().st_size, "sha256": _digest(path)}
        for path in _files_below(outputs, inside)
        if path.resolve().is_relative_to(inside)
    ]
    sample = Path(record.layout.sample)
    if sample.is_file():
        listing.append({"path": sample.name, "size": sample.stat().st_size, "sha256": _digest(sample)})
    write_json(record.layout.listing, listing)


def describe_discarded(record: Record) -> str | None:
    """A note on what the newest attempt wrote outside of outputs/ and logs/; None if it wrote nothing there."""
    result = record.result
    if result is None or not result.strays:
        return None
    strays = [file.path for file in result.strays if Path(file.path).parts[0] not in MLFLOW_STORES]
    stores = [name for name in MLFLOW_STORES if any(Path(file.path).parts[0] == name for file in result.strays)]
    return "; ".join(filter(None, (_describe_strays(strays), _describe_stores(stores)))) or None


def _describe_stores(stores: list[str]) -> str | None:
    if not stores:
        return None
    kept = " and ".join(f"outputs/{name}" for name in stores)
    return (
        f"the script logged to an MLflow store of its own, kept as {kept}; without mlflow.set_tracking_uri its calls "
        "go into the run"
    )


def _describe_strays(strays: list[str]) -> str | None:
    if not strays:
        return None
    counts = Counter(f"{first}/" if rest else first for first, _, rest in (path.partition("/") for path in strays))
    files = [
        f"{name} ({number} file{'s' * (number > 1)})" if name[-1] == "/" else name for name, number in counts.items()
    ]
    more = f" and {len(files) - NAMED} more" if len(files) > NAMED else " and more" * (len(strays) >= MAX_STRAYS)
    return f"not kept: {', '.join(files[:NAMED])}{more}; only files in ./outputs are kept"


def _move(source: Path, target: Path) -> None:
    """Move the content of the folder `source` into `target`; links are moved as links, and never followed.

    If a name exists in `target`, `.script` is put before its suffix, and a number if that exists too.
    """
    target.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:  # root may reconcile another user's run, which stays that user's
        owner = target.parent.stat()
        with suppress(OSError):  # a share may treat root as nobody
            os.chown(target, owner.st_uid, owner.st_gid)
    if source.is_symlink() or not source.is_dir():
        return
    for entry in sorted(source.iterdir()):
        entry.rename(_free_name(target / entry.name))


def _free_name(target: Path) -> Path:
    path, number = target, 1
    while os.path.lexists(path):
        path = target.with_name(f"{target.stem}.script{number if number > 1 else ''}{target.suffix}")
        number += 1
    return path


def _remove(folder: Path) -> None:
    """Remove a folder, even if the script took away the permissions to."""
    for parent, _, _ in os.walk(folder, onerror=None):
        os.chmod(parent, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _files_below(folder: Path, inside: Path) -> Iterator[Path]:
    """The files in a folder, and those in linked folders inside of it; links within those are not followed."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(parent) / name for name in sorted(names) if (Path(parent) / name).is_file())
        for name in folders:
            link = Path(parent, name)
            if link.is_symlink() and inside in (real := link.resolve()).parents and real not in link.absolute().parents:
                yield from (path for path in sorted(link.rglob("*")) if path.is_file() and not path.is_symlink())


def _digest(path: Path) -> str:
    if not os.access(path, os.R_OK):
        path.chmod(path.stat().st_mode | 0o400)
    return file_sha256(path)
