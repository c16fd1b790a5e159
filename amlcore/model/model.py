"""Models: what was registered, versioned and never changed since."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, Self

from amlcore.errors import ModelError
from amlcore.log import Log
from amlcore.model.folders import RECORD, find_folder, named, state_of, versions
from amlcore.model.model_files import check_inside, replace_copy
from amlcore.record.documents import OutputFile
from amlcore.record.forms import Moment, parse_fields
from amlcore.record.marks import read_model_marks
from amlcore.record.reading import read_mapping
from amlcore.worker.hashes import file_sha256


class HasModels(Protocol):
    """The part of a workspace that models need."""

    @property
    def models_path(self) -> Path: ...


@dataclass(init=False, repr=False)
class Model:
    """A registered model; `Model(ws, name)` is the newest version of it, as in Azure ML."""

    class Framework(StrEnum):
        SCIKITLEARN = "ScikitLearn"

    folder: Path = field(metadata={"key": None})
    registered_tags: dict[str, str] = field(metadata={"key": None})
    note: str | None = field(metadata={"key": None})  # which people may add later
    name: str
    version: int
    framework: str
    framework_version: str | None  # as stated, else as trained
    trained_with: str | None  # the scikit-learn of the training lock
    run: str | None
    experiment: str
    created: Moment  # in UTC
    trusted_types: list[str]  # types that a model in skops format may contain, as declared
    path: str  # the file that is loaded, relative to files/
    files: list[dict[str, Any]]  # path, size, sha256
    sha256: str  # of the file that is loaded
    code: list[str]  # relative to code/
    code_sha256: dict[str, str]
    metrics: dict[str, Any]
    tags: dict[str, str]  # as registered, and as people have changed them since
    properties: dict[str, str]
    description: str
    resource_configuration: dict[str, Any] | None  # cpu, memory_in_gb, gpu
    python: str
    class_name: str = field(metadata={"key": "class"})
    last_step: str  # the class of the step that answers: a pipeline's last step, a search's best model
    methods: list[str]
    signature: dict[str, Any]  # n_features, columns, dtypes
    classes: list[Any] | None
    sample: dict[str, Any] | None  # columns, dtypes, rows
    warnings: list[str]
    lock_sha256: str | None = None  # of lock.txt; None in models of earlier versions

    def __init__(
        self,
        workspace: HasModels,
        name: str | None = None,
        version: int | str | None = None,
        *,
        id: str | None = None,  # noqa: A002  v1's name for NAME:VERSION
    ) -> None:
        if (name is None) == (id is None):
            raise ModelError("Model(workspace, …) takes either a name or id='NAME:VERSION'")
        reference = id or (str(name) if version is None else f"{name}{_sign(version)}{version}")
        self._read(find_folder(workspace.models_path, reference))

    @classmethod
    def get(cls, workspace: HasModels, reference: str) -> Self:
        """The model that NAME, NAME:VERSION, NAME:latest or NAME@ALIAS means.

        Raises
        ------
        NotFoundError
            There is no such model, version or alias.
        """
        return cls.load_record(find_folder(workspace.models_path, reference))

    def __repr__(self) -> str:
        return f"Model(name={self.name!r}, version={self.version})"

    @classmethod
    def load_record(cls, folder: Path) -> Self:
        """Read the model in `folder`."""
        model = cls.__new__(cls)
        model._read(folder)
        return model

    def _read(self, folder: Path) -> None:
        path = folder / RECORD
        document = read_mapping(path, error=ModelError)
        if document is None:
            raise ModelError(f"{folder} has no {RECORD}, so it is not a registered model")
        read = parse_fields(path, document, Model, error=ModelError)
        for file in read["files"]:
            parse_fields(f"{path}: files", file, OutputFile, error=ModelError)
        marks, tags = read_model_marks(folder), read["tags"]
        self.__dict__.update(
            {**read, "folder": folder, "registered_tags": tags, "tags": marks.over(tags), "note": marks.note}
        )

    @property
    def id(self) -> str:
        return f"{self.name}:{self.version}"

    @property
    def aliases(self) -> list[str]:
        """The aliases that mean this version now."""
        return sorted(
            alias for alias, version in state_of(self.folder.parent).aliases.items() if version == self.version
        )

    @property
    def lock(self) -> str:
        """The requirements, with hashes, that it was trained with.

        Raises
        ------
        ModelError
            The file is missing, or has changed since it was registered.
        """
        if self.lock_sha256 is not None:
            self._verify_file("lock.txt", self.lock_sha256)
        try:
            return (self.folder / "lock.txt").read_text(encoding="utf-8")
        except OSError as error:
            raise ModelError(f"{self.id}: {self.folder / 'lock.txt'} cannot be read: {error.strerror}") from None

    def verify(self) -> Path:
        """The file to load; every file of the model is checked against its hash first.

        Raises
        ------
        ModelError
            A file is missing, or has changed since it was registered.
        """
        hashes = {f"files/{file['path']}": file["sha256"] for file in self.files}
        hashes |= {f"code/{path}": sha256 for path, sha256 in self.code_sha256.items()}
        if self.lock_sha256 is not None:
            hashes["lock.txt"] = self.lock_sha256
        for relative, sha256 in hashes.items():
            self._verify_file(relative, sha256)
        return self.folder / "files" / self.path

    def _verify_file(self, relative: str, sha256: str) -> None:
        path = self.folder / relative
        try:
            actual = file_sha256(path)
        except OSError as error:
            raise ModelError(f"{self.id}: {path} cannot be read: {error.strerror}") from None
        if actual != sha256:
            raise ModelError(
                f"{self.id}: {path} is not the file that was registered: its sha256 is {actual}, not {sha256}; "
                "it was not used"
            )

    def download(self, target_dir: str | Path = ".", exist_ok: bool = False) -> str:
        """Copy the verified files of the model into a folder; return the path of the one to load.

        Raises
        ------
        ModelError
            A file of that name exists already and `exist_ok` is false, the model is damaged, or a file would be written
            outside of the folder.
        """
        self.verify()
        names = [str(file["path"]) for file in self.files]
        for name in names:
            check_inside(name, Path(target_dir), what=self.id)
        existing = [str(target) for name in names if os.path.lexists(target := Path(target_dir, name))]
        if existing and not exist_ok:
            raise ModelError(f"{self.id}: {existing[0]} already exists; download(exist_ok=True) replaces it")
        for name in names:
            replace_copy(self.folder / "files" / name, Path(target_dir, name))
        return str(Path(target_dir, self.path))

    def to_json(self) -> dict[str, Any]:
        """The model as `aml models --json` lists it, apart from its aliases."""
        keys = ("name", "version", "framework", "framework_version", "run", "metrics", "sha256", "created")
        return {key: getattr(self, key) for key in (*keys, "tags", "note")}


def _sign(version: int | str) -> str:
    """What is between a name and `version`, which may be an alias with its sign."""
    return "" if isinstance(version, str) and version.startswith("@") else ":"


def find(models: Path, reference: str) -> Model:
    """The model that NAME, NAME:VERSION, NAME:latest or NAME@ALIAS means.

    Raises
    ------
    NotFoundError
        There is no such model, version or alias.
    """
    return Model.load_record(find_folder(models, reference))


def list_models(models: Path, *, warn: Log = warnings.warn) -> list[Model]:
    """All versions of all models, newest first; one with a damaged record is left out with a warning."""
    records = []
    for folder in (own / str(version) for own in named(models) for version in versions(own)):
        try:
            records.append(Model.load_record(folder))
        except ModelError as error:
            warn(f"skipping a model: {error}")
    return sorted(records, key=lambda model: (model.created, model.version), reverse=True)
