"""Registration: what a run wrote becomes the next version of a model."""

import hashlib
import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amlcore.errors import ModelError
from amlcore.model.aliases import move_to
from amlcore.model.inspection import Inspection, convert_to_skops, inspect_model
from amlcore.model.mlmodel import MLmodel
from amlcore.model.model import Model
from amlcore.model.model_files import copy_files, copy_model, main_file, replace_file
from amlcore.model.new_version import claim_version, prepared_folder
from amlcore.model.provenance import Provenance
from amlcore.model.registration import Registration
from amlcore.model.sample import Sample, read_sample
from amlcore.model.trusted_types import SKOPS, TRUSTED_TYPES
from amlcore.worker.hashes import file_sha256
from amlcore.worker.layout import RunLayout


def register(registration: Registration, provenance: Provenance, *, models: Path) -> Model:
    """Register a file or folder of the run's `outputs/` as the next version of the model.

    Raises
    ------
    ModelError
        The run did not write it, it cannot be loaded, or its class was defined in the script itself.
    """
    return _register(provenance.written(registration.path, key="model.path"), registration, provenance, models=models)


def register_file(path: Path, registration: Registration, *, models: Path) -> Model:
    """Register a file that no run wrote; this interpreter counts as the one that trained it.

    Raises
    ------
    ModelError
        There is no such file, or it cannot be loaded here.
    """
    from amlcore.environment.build import build_current

    if not path.exists():
        raise ModelError(f"model_path={path} does not exist")
    current = build_current(log=lambda _: None)
    folder = path.absolute().parent
    provenance = Provenance(run=None, experiment="", folder=folder, interpreter=current.python, lock=current.lock)
    model = _register(path.absolute(), registration, provenance, models=models)
    if registration.alias is not None:
        move_to(model, registration.alias)
    return model


def _register(source: Path, registration: Registration, provenance: Provenance, *, models: Path) -> Model:
    """Register `source`, wherever it is, as the next version of the model."""
    if registration.name is None:
        raise ModelError("model.name is null: a model needs a name to be registered")
    if not provenance.interpreter.exists():
        raise ModelError(
            f"the interpreter that trained the model, {provenance.interpreter}, no longer exists; run `aml env build`"
        )
    with prepared_folder(models / registration.name) as folder:
        files = copy_model(source, folder / "files")
        base = source if source.is_dir() else source.parent
        provenance.check(
            {base / file.path: file.sha256 for file in files},
            key=f"model.path={registration.path}",
            folder=source if source.is_dir() else None,
        )
        mlmodel = MLmodel.find(folder / "files")
        main = main_file(files, source) if mlmodel is None else mlmodel.main
        trusted = [*TRUSTED_TYPES, *registration.trusted_types]
        where = _shown(source, provenance)
        if registration.format == "skops" and not main.endswith(SKOPS):
            with convert_to_skops(
                folder / "files" / main, training=provenance.training, trusted=trusted, where=where
            ) as file:
                files = replace_file(files, main, file, folder=folder / "files")
            main = str(Path(main).with_suffix(SKOPS))
        sample = _sample(registration, provenance) or (None if mlmodel is None else mlmodel.sample)
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
        return Model.load_record(claim_version(folder, record))


def _declared(registration: Registration, *, findings: Inspection, lock: str) -> dict[str, Any]:
    locked = locked_version(lock)
    trained = locked or findings.sklearn
    stated = registration.framework_version
    warnings = list(findings.warnings)
    if locked and findings.sklearn and locked != findings.sklearn:
        warnings.append(f"the lock has scikit-learn {locked}, but the interpreter now has {findings.sklearn}")
    if stated is not None and trained is not None and stated != trained:
        warnings.append(
            f"model.framework_version={stated} was recorded as given, but the model was trained with scikit-learn "
            f"{trained}"
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
    """The version of scikit-learn in a lock; None if it has none, or several for different platforms."""
    pins = set(re.findall(r"^scikit[-_]learn==([^\s;\\]+)", lock, re.MULTILINE | re.IGNORECASE))
    return pins.pop() if len(pins) == 1 else None


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
