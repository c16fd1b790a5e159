"""Registration: which file of a run becomes a model, as it is declared, and the registering itself."""

import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amlcore.environment.temporary_folder import OWNER, is_owner_gone
from amlcore.errors import ConfigError, ModelError, must_be
from amlcore.model.files import copy_files, copy_model, find_written, main_file, replace_file
from amlcore.model.folders import PREPARED, versions
from amlcore.model.inspection import Inspection, TrainingContext, convert_to_skops, inspect_model
from amlcore.model.model import Model
from amlcore.model.sample import Sample, read_sample
from amlcore.model.trusted_types import SKOPS, TRUSTED_TYPES
from amlcore.record.ownership import open_tree_to_group
from amlcore.worker import durable
from amlcore.worker.files import make_folder, write_json
from amlcore.worker.hashes import file_sha256
from amlcore.worker.layout import RunLayout
from amlcore.worker.process_identity import identity

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
FRAMEWORKS = (Model.Framework.SCIKITLEARN.value,)
FORMATS = ("skops",)
LEFT_S = 86400.0  # no registration takes so long


@dataclass
class ResourceConfiguration:
    """What a service of the model may take."""

    cpu: float = 1.0  # cores: workers times threads
    memory_in_gb: float = 0.5  # GB, stated with the service
    gpu: int = 0  # scikit-learn uses none

    def __post_init__(self) -> None:
        for key, value in (("cpu", self.cpu), ("memory_in_gb", self.memory_in_gb)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
                raise ConfigError(f"model.resource_configuration.{key}={value!r}: must be a number above 0")
        if self.gpu != 0:
            raise ConfigError(f"model.resource_configuration.gpu={self.gpu!r}: scikit-learn uses no GPU; legal: 0")


@dataclass
class Registration:
    """What becomes of a run's model file; nothing where `name` is null."""

    name: str | None  # of the model; null: nothing is registered
    path: str = "outputs/model.joblib"  # the file, or a folder with one such file, in the run's outputs/
    framework: str = "ScikitLearn"  # the only one there is
    format: str | None = None  # skops: the model is kept in that format, which runs no code on load; null: as written
    trusted_types: list[str] = field(default_factory=list)  # what a model in skops format may be built of besides
    framework_version: str | None = None  # as stated; null: the version that trained it
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    resource_configuration: ResourceConfiguration | None = None  # sizes the service
    sample_input: str | None = None  # outputs/sample.csv, .json or .npy; null: what run.log_sample wrote, if anything

    def __post_init__(self) -> None:
        self.path = os.fspath(self.path)
        self.sample_input = None if self.sample_input is None else os.fspath(self.sample_input)
        self.tags = {str(name): str(value) for name, value in self.tags.items()}
        self.properties = {str(name): str(value) for name, value in self.properties.items()}
        if self.name is not None and not NAME.fullmatch(self.name):
            raise ConfigError(
                f"model.name={self.name!r}: legal are letters, digits, '-', '_' and '.', beginning with a letter or a "
                "digit, at most 255"
            )
        if self.framework not in FRAMEWORKS:
            raise ConfigError(f"model.framework={self.framework!r}: {must_be(self.framework, FRAMEWORKS)}")
        if self.format is not None and self.format not in FORMATS:
            raise ConfigError(f"model.format={self.format!r}: {must_be(self.format, FORMATS)}, or null")


@dataclass(frozen=True)
class Provenance:
    """Where a model comes from: a run that has ended, and what it ran in."""

    run: str | None
    experiment: str
    folder: Path
    interpreter: Path
    lock: str
    objects: Path | None = None
    manifest: Path | None = None
    script: str | None = None
    python_path: tuple[str, ...] = ()
    metrics: dict[str, Any] = field(default_factory=dict)
    strays: tuple[str, ...] = ()
    hashes: dict[str, str] | None = None  # of what the run wrote, by its path there; None: nobody hashed it

    @property
    def training(self) -> TrainingContext:
        return TrainingContext(self.interpreter, self.manifest, self.objects, self.script, self.python_path)

    def written(self, path: str, *, key: str) -> Path:
        """The file or folder `path` of the run, which must lie in its `outputs/`."""
        run = f"run {self.run}" if self.run else str(self.folder)
        return find_written(path, folder=self.folder, strays=self.strays, key=key, run=run)

    def check(self, files: Mapping[Path, str], *, key: str, folder: Path | None = None) -> None:
        """Make sure that files, given with their sha256, are those of the run, and all that it wrote to `folder`.

        Raises
        ------
        ModelError
            One was changed, put there or removed after the run had ended.
        """
        if self.hashes is None:
            return
        found = {self._name(path): sha256 for path, sha256 in files.items()}
        inside = f"{self._name(folder)}/" if folder else None
        wanted = {name for name in self.hashes if inside and name.startswith(inside)}
        for name in sorted(found.keys() | wanted):
            written, now = self.hashes.get(name), found.get(name)
            if written != now:
                how = "was put there" if written is None else "was removed" if now is None else "was changed"
                raise ModelError(
                    f"{key}: {name} {how} after run {self.run} had ended (its sha256 was {written} and is {now}); the "
                    "run's metrics do not tell of it"
                )

    def _name(self, path: Path) -> str:
        return os.path.relpath(os.path.abspath(path), self.folder)


def register(registration: Registration, provenance: Provenance, *, models: Path) -> Model:
    """Register a file or folder of the run's `outputs/` as the next version of the model.

    Raises
    ------
    ModelError
        The run did not write it, it cannot be loaded, or its class was defined in the script itself.
    """
    return publish(provenance.written(registration.path, key="model.path"), registration, provenance, models=models)


def register_file(path: Path, registration: Registration, *, models: Path) -> Model:
    """Register a file that no run wrote; this interpreter counts as the one that trained it.

    Raises
    ------
    ModelError
        There is no such file, or it cannot be loaded here.
    """
    from amlcore.environment.build import build_current

    if not path.exists():
        raise ModelError(f"model_path={path}: there is no such file or folder")
    current = build_current(log=lambda _: None)
    folder = path.absolute().parent
    provenance = Provenance(run=None, experiment="", folder=folder, interpreter=current.python, lock=current.lock)
    return publish(path.absolute(), registration, provenance, models=models)


def publish(source: Path, registration: Registration, provenance: Provenance, *, models: Path) -> Model:
    """Register `source` as the next version of the model, wherever it lies."""
    if registration.name is None:
        raise ModelError("model.name is null: a model needs a name to be registered")
    if not provenance.interpreter.exists():
        raise ModelError(f"the interpreter that trained the model, {provenance.interpreter}, is gone; build it again")
    with _prepared(models / registration.name) as folder:
        files = copy_model(source, folder / "files")
        base = source if source.is_dir() else source.parent
        provenance.check(
            {base / file.path: file.sha256 for file in files},
            key=f"model.path={registration.path}",
            folder=source if source.is_dir() else None,
        )
        main = main_file(files, source)
        trusted = [*TRUSTED_TYPES, *registration.trusted_types]
        where = _shown(source, provenance)
        if registration.format == "skops" and not main.endswith(SKOPS):
            with convert_to_skops(
                folder / "files" / main, training=provenance.training, trusted=trusted, where=where
            ) as file:
                files = replace_file(files, main, file, folder=folder / "files")
            main = str(Path(main).with_suffix(SKOPS))
        sample = _sample(registration, provenance)
        with inspect_model(
            folder / "files" / main, training=provenance.training, sample=sample, trusted=trusted, where=where
        ) as findings:
            code = copy_files(findings.code, folder / "code")
        lock = folder / "lock.txt"
        lock.write_text(provenance.lock, encoding="utf-8")
        lock.chmod(0o444)
        lock_sha256 = hashlib.sha256(provenance.lock.encode()).hexdigest()
        record = {
            **_declared(registration, findings=findings, lock=provenance.lock),
            **_learnt(findings),
            "run": provenance.run,
            "experiment": provenance.experiment,
            "metrics": provenance.metrics,
            "path": main,
            "files": [file.to_json() for file in files],
            "sha256": next(file.sha256 for file in files if file.path == main),
            "code": sorted(file.path for file in code),
            "code_sha256": {file.path: file.sha256 for file in code},
            "lock_sha256": lock_sha256,
            "created": datetime.now(UTC).isoformat(timespec="microseconds"),
        }
        return Model.load_record(_claim(folder, record))


def _declared(registration: Registration, *, findings: Inspection, lock: str) -> dict[str, Any]:
    locked = locked_version(lock)
    trained = locked or findings.sklearn
    stated = registration.framework_version
    warnings = list(findings.warnings)
    if locked and findings.sklearn and locked != findings.sklearn:
        warnings.append(f"the lock says scikit-learn {locked}, and the interpreter has {findings.sklearn} now")
    if stated is not None and trained is not None and stated != trained:
        warnings.append(
            f"model.framework_version={stated} is kept as stated, and the model was trained with scikit-learn {trained}"
        )
    resources = registration.resource_configuration
    return {
        "name": registration.name,
        "framework": registration.framework,
        "framework_version": stated or trained,
        "trained_with": trained,
        "description": registration.description,
        "trusted_types": list(registration.trusted_types),
        "tags": dict(registration.tags),
        "properties": dict(registration.properties),
        "resource_configuration": asdict(resources) if resources else None,
        "warnings": warnings,
    }


def _learnt(findings: Inspection) -> dict[str, Any]:
    return {
        "python": findings.python,
        "class": findings.class_name,
        "last_step": findings.last_step,
        "methods": findings.methods,
        "classes": findings.classes,
        "signature": findings.signature,
        "sample": findings.sample.to_json() if findings.sample else None,
    }


def locked_version(lock: str) -> str | None:
    """The version of scikit-learn in a lock; None where it has none, or several for different platforms."""
    found = set(re.findall(r"^scikit[-_]learn==([^\s;\\]+)", lock, re.MULTILINE | re.IGNORECASE))
    return found.pop() if len(found) == 1 else None


@contextmanager
def _prepared(models: Path) -> Iterator[Path]:
    """A folder beside the versions to prepare one in; gone afterwards, unless it became one."""
    folder = models / f"{PREPARED}{uuid.uuid4().hex[:12]}"
    try:
        make_folder(models)
        folder.mkdir()
        write_json(str(folder / OWNER), identity())
        for left in models.parent.glob(f"*/{PREPARED}*"):  # by registrations that were killed, of any model
            with suppress(OSError):
                if is_owner_gone(left / OWNER) or time.time() - left.stat().st_mtime > LEFT_S:
                    shutil.rmtree(left, ignore_errors=True)
    except OSError as error:
        raise ModelError(f"{models} cannot be written ({error.strerror}); models are registered there") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _claim(folder: Path, record: dict[str, Any]) -> Path:
    """Make the prepared folder the next version; who renames first has the number, the others take the one after."""
    (folder / OWNER).unlink(missing_ok=True)
    while True:
        version = max(versions(folder.parent), default=0) + 1
        about = folder / "model.json"
        write_json(str(about), {"name": record["name"], "version": version, **record})
        about.chmod(0o444)
        open_tree_to_group(folder)
        durable.sync_tree(folder)
        try:
            target = folder.rename(folder.parent / str(version))
            durable.sync_parents(target, folder.parent.parent.parent)
            return target
        except OSError:
            if not (folder.parent / str(version)).exists():
                raise


def _sample(registration: Registration, provenance: Provenance) -> Sample | None:
    path, key = Path(RunLayout(provenance.folder).sample), "run.log_sample"
    if registration.sample_input is not None:
        key = f"model.sample_input={registration.sample_input}"
        path = provenance.written(registration.sample_input, key="model.sample_input")
    elif not path.exists():
        if provenance.hashes and path.name in provenance.hashes:
            raise ModelError(f"{key}: {path} was removed after run {provenance.run} had ended")
        return None
    provenance.check({path: file_sha256(path)}, key=key)
    return read_sample(path)


def _shown(source: Path, provenance: Provenance) -> str:
    return str(source.relative_to(provenance.folder)) if source.is_relative_to(provenance.folder) else str(source)
