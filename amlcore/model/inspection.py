"""What a model file holds, as the interpreter that trained it sees it."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import amlcore.worker
from amlcore.environment.temporary_folder import temporary_folder
from amlcore.errors import ModelError
from amlcore.log import timed
from amlcore.model.data_files import check_fitted, link_rest, missing_warnings, opened_files
from amlcore.model.sample import Sample
from amlcore.model.trusted_types import SKOPS
from amlcore.snapshot.snapshot import materialize, stored_files

PROBE = Path(amlcore.worker.__file__).with_name("probe.py")
INPUTS = Path(__file__).with_name("inputs")
"""The package that reads the requests of a service; the probe reads the sample by it, too."""
TIMEOUT_S = 600


@dataclass(frozen=True)
class Inspection:
    """What the probe found; the model's own code is still in its temporary folder."""

    python: str
    sklearn: str | None
    class_name: str
    last_step: str
    methods: list[str]
    signature: dict[str, Any]
    """As amlcore.model.inputs.signature_inference returns it."""
    classes: list[Any] | None
    sample: Sample | None
    """As it was logged, with the columns that the model takes."""
    code: dict[str, Path]
    warnings: list[str]


@dataclass(frozen=True)
class TrainingContext:
    """What the model was trained with: an interpreter, and the code of a snapshot if there is one."""

    interpreter: Path
    manifest: Path | None
    objects: Path | None
    script: str | None
    """The script's path in the snapshot: its folder is where Python looks for modules first."""
    python_path: tuple[str, ...] = ()
    """The relative entries of its PYTHONPATH, where Python looks next."""


@contextmanager
@timed
def inspect_model(
    model: Path, *, training: TrainingContext, sample: Sample | None, trusted: list[str], where: str
) -> Iterator[Inspection]:
    """Load `model` in the interpreter that trained it, and try the sample on it.

    From a file in skops format, only types that skops or `trusted` allow are loaded.

    Raises
    ------
    ModelError
        It cannot be loaded there, or needs a class that the script itself defines; `where` names the file.
    """
    with temporary_folder("model") as stage:
        request = {"sample": sample.to_json() if sample else None, "trusted": trusted, "convert": None}
        report = _probed(model, request, stage=stage, training=training, where=where)
        check_fitted(report, where=where)
        files, file_warnings = opened_files(report["opened"], stage=stage, roots=_given_roots(training, stage))
        findings = _findings(report, file_warnings=[*file_warnings, *missing_warnings(report)])
        if files:
            findings.code.update(_verified(files, stage=stage, training=training))
        yield findings


@contextmanager
def convert_to_skops(model: Path, *, training: TrainingContext, trusted: list[str], where: str) -> Iterator[Path]:
    """The model in skops format, converted by the interpreter that trained it; removed when the block ends.

    Raises
    ------
    ModelError
        That interpreter has no skops, or skops does not support a part of the model.
    """
    with temporary_folder("model") as stage:
        target = stage / f"model{SKOPS}"
        request = {"sample": None, "trusted": trusted, "convert": str(target)}
        report = _probed(model, request, stage=stage, training=training, where=where)
        if report["refused"] is not None:
            raise ModelError(f"model.format=skops: {where} cannot be written in that format: {report['refused']}")
        yield target


def _probed(
    model: Path, request: dict[str, Any], *, stage: Path, training: TrainingContext, where: str
) -> dict[str, Any]:
    report = _run_probe(model, request, stage=stage, training=training, where=where)
    if report["main"] is not None:
        script = Path(training.script).name if training.script else "the script"
        raise ModelError(
            f"{where} needs '{report['main']}', which was defined in {script} itself (__main__) and does not "
            "exist when the model is loaded anywhere else; move it to a module next to the script, such as "
            f"features.py, and write `from features import {report['main']}`"
        )
    return report


def _roots(training: TrainingContext, stage: Path) -> list[Path]:
    """Lay out the snapshot's code as the run had it; return the folders in which Python looked for modules."""
    code = stage / "code"
    code.mkdir()
    if training.manifest is None or training.objects is None:
        return [code]
    paths = [file.path for file in stored_files(training.manifest)]
    packages = {PurePosixPath(path).parts[:-1] for path in paths if path.endswith("/__init__.py")}

    def is_code(path: str) -> bool:
        # The data files of a package go with it.
        parents = PurePosixPath(path).parts[:-1]
        return path.endswith(".py") or any(parents[:depth] in packages for depth in range(1, len(parents) + 1))

    materialize(training.manifest, objects=training.objects, into=code, selects=is_code)
    link_rest(training.manifest, objects=training.objects, into=code, select=lambda path: not is_code(path))
    return _given_roots(training, stage)


def _given_roots(training: TrainingContext, stage: Path) -> list[Path]:
    """The folders in which Python looked for the snapshot's modules, in order."""
    code = stage / "code"
    if training.manifest is None:
        return [code]
    first = (code / training.script).parent if training.script else code
    roots = [first, *(code / entry for entry in training.python_path), code]
    return list(dict.fromkeys(Path(os.path.normpath(root)) for root in roots))


def _verified(files: dict[str, Path], *, stage: Path, training: TrainingContext) -> dict[str, Path]:
    """Copies of `files` from the snapshot, with their hashes checked; `files` are links to its store."""
    assert training.manifest is not None
    assert training.objects is not None
    inside = {path.relative_to(stage / "code").as_posix() for path in files.values()}
    into = stage / "opened"
    materialize(training.manifest, objects=training.objects, into=into, selects=inside.__contains__)
    return {relative: into / path.relative_to(stage / "code") for relative, path in files.items()}


def _run_probe(
    model: Path, request: dict[str, Any], *, stage: Path, training: TrainingContext, where: str
) -> dict[str, Any]:
    arguments, result = stage / "arguments.json", stage / "result.json"
    code = {"roots": [os.path.normpath(root) for root in _roots(training, stage)], "code": str(stage / "code")}
    arguments.write_text(json.dumps({**request, **code, "inputs": str(INPUTS)}), encoding="utf-8")
    nowhere = stage / "nowhere"  # a service does not run in the folder of the script either
    nowhere.mkdir()
    interpreter = training.interpreter.absolute()
    command = [str(part) for part in (interpreter, PROBE, model.absolute(), arguments, result)]
    try:
        done = subprocess.run(
            command,
            cwd=nowhere,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"{where} did not load within {TIMEOUT_S // 60} minutes") from None
    except OSError as error:
        raise ModelError(
            f"{training.interpreter}, which trained {where}, cannot be started: {error.strerror}"
        ) from None
    if done.returncode != 0 or not result.exists():
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {done.returncode}"]
        hint = "; list the types that you trust in model.trusted_types" if "Untrusted types" in lines[-1] else ""
        raise ModelError(f"{where} cannot be loaded as a model by {training.interpreter}: {lines[-1]}{hint}")
    report: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return report


def _findings(report: dict[str, Any], *, file_warnings: list[str]) -> Inspection:
    warnings = [*report["load_warnings"], *report["input_warnings"], *file_warnings]
    if not {"predict", "transform"} & set(report["methods"]):
        warnings.append(
            f"the model is a {report['class']}, which has neither predict nor transform, so it cannot be served"
        )
    if report["sample_error"] is not None:
        warnings.append(f"the model refuses its sample: {report['sample_error']}")
    sample = Sample(**report["sample"]) if report["sample"] else None
    return Inspection(
        python=report["python"],
        sklearn=report["sklearn"],
        class_name=report["class"],
        last_step=report["last_step"],
        methods=report["methods"],
        signature=report["signature"],
        classes=report["classes"],
        sample=sample,
        code={relative: Path(path) for relative, path in report["code"].items()},
        warnings=warnings,
    )
