"""The files of a model: found among what a run wrote, and copied read-only."""

import os
import shutil
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amlcore.errors import ModelError
from amlcore.model.trusted_types import SKOPS
from amlcore.worker.hashes import stream_sha256
from amlcore.worker.layout import RunLayout

MODEL_FILES = (".joblib", ".pkl", ".pickle", SKOPS)
LISTED = 20


@dataclass(frozen=True)
class ModelFile:
    path: str
    size: int
    sha256: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def check_output(path: str, *, key: str) -> None:
    """Raise ModelError unless `path` is inside a run's `outputs/`: only files there are kept."""
    if not os.path.normpath(path).startswith("outputs/"):
        name = Path(path).name if Path(path).name not in ("", ".", "..", "outputs") else "model.joblib"
        raise ModelError(f"{key}={path}: must be a path in the run's outputs/, such as outputs/{name}")


def find_written(path: str, *, folder: Path, strays: Sequence[str], key: str, run: str) -> Path:
    """The file or folder `path` that a run wrote to its `outputs/`.

    Raises
    ------
    ModelError
        It is not there, or not in `outputs/`; the message says what is.
    """
    outputs = Path(RunLayout(folder).outputs)
    written = folder / path
    inside = os.path.normpath(path).startswith("outputs/")
    if inside and written.exists() and written.resolve().is_relative_to(outputs.resolve()):
        return written
    stray = next((stray for stray in strays if Path(stray).name == Path(path).name), None)
    if stray is not None and not (inside and written.exists()):
        raise ModelError(
            f"{key}={path}: {run} wrote {stray} outside ./outputs, and only files in ./outputs are kept; "
            f"write it to outputs/{Path(path).name}"
        )
    check_output(path, key=key)
    if written.is_symlink() or written.exists():
        where = f"a link to {written.readlink()}" if written.is_symlink() else f"at {written.resolve()}"
        why = "which is outside the run" if written.exists() else "which does not exist"
        raise ModelError(f"{key}={path}: {run} left {where}, {why}; copy the file to ./outputs")
    raise ModelError(f"{key}={path}: {run} did not write it; {_listed(outputs)}")


def copy_model(source: Path, folder: Path) -> list[ModelFile]:
    if source.is_file():
        return copy_files({source.name: source}, folder)
    return copy_files({str(path.relative_to(source)): path for path in source.rglob("*") if path.is_file()}, folder)


def copy_files(sources: dict[str, Path], folder: Path) -> list[ModelFile]:
    """Copy files read-only, and hash what is written."""
    return [_copy(source, folder / relative, relative) for relative, source in sorted(sources.items())]


def check_inside(relative: str, folder: Path, *, what: str) -> None:
    """Raise ModelError if `relative` leads out of `folder`, by `..` or through a link."""
    target = folder / relative
    if Path(relative).is_absolute() or not target.parent.resolve().is_relative_to(folder.resolve()):
        raise ModelError(f"{what}: the file {relative!r} would be written outside {folder}")


def replace_copy(source: Path, target: Path) -> None:
    """Copy a file to `target` atomically; a link at `target` is replaced, not followed."""
    temporary = target.with_name(f".{uuid.uuid4().hex[:12]}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, temporary)
        temporary.replace(target)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise ModelError(f"{target} cannot be written: {error.strerror}") from None


def replace_file(files: list[ModelFile], old: str, new: Path, *, folder: Path) -> list[ModelFile]:
    """The files with `new` in place of `old`, which is deleted."""
    (folder / old).unlink()
    written = copy_files({str(Path(old).with_suffix(new.suffix)): new}, folder)
    return sorted([*(file for file in files if file.path != old), *written], key=lambda file: file.path)


def main_file(files: list[ModelFile], source: Path) -> str:
    """The file to load: `source` itself, or the only file in the folder `source` with the suffix of a model."""
    if source.is_file():
        return files[0].path
    named = [file.path for file in files if file.path.endswith(MODEL_FILES)]
    if len(named) != 1:
        raise ModelError(
            f"the folder {source.name} must hold exactly one file with the model ({', '.join(MODEL_FILES)}), but holds "
            f"{', '.join(named) or 'none'}; set model.path to the file itself"
        )
    return named[0]


def _listed(outputs: Path) -> str:
    files = sorted(str(path.relative_to(outputs.parent)) for path in outputs.rglob("*") if path.is_file())
    if not files:
        return "its outputs/ is empty"
    more = f" and {len(files) - LISTED} more" if len(files) > LISTED else ""
    return f"it wrote {', '.join(files[:LISTED])}{more}"


def _copy(source: Path, target: Path, relative: str) -> ModelFile:
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as stream, target.open("xb") as copy:
        sha256, size = stream_sha256(stream, copy=copy)
    target.chmod(0o444)
    return ModelFile(relative, size, sha256)
