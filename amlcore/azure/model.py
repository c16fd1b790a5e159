"""Azure ML's Model: lists, registers and deploys models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from amlcore import model as nouns
from amlcore.errors import DeploymentError, NotFoundError, suggest
from amlcore.model import list_models
from amlcore.model.aliases import set_alias, unset_alias
from amlcore.model.marking import set_tags
from amlcore.model.model import HasModels
from amlcore.model.registration import Registration, ResourceConfiguration
from amlcore.model.registry import register_file
from amlcore.model.removal import find_removable, remove_version
from amlcore.serving import launch, packaging
from amlcore.serving.service import Service
from amlcore.worker.values import mapping, text, to_json_scalar

Filter = Mapping[str, str] | Sequence[str | tuple[str, str] | list[str]]
"""The keys that a model must have, or pairs of a key and its value."""


class Model(nouns.Model):
    """A registered model; `Model(ws, name)` is its newest version, `Model.get(ws, "NAME@ALIAS")` any."""

    @classmethod
    def of(cls, model: nouns.Model) -> Model:
        """The same model with the methods of this class."""
        return cls.load_record(model.folder)

    def set_alias(self, alias: str, *, why: str | None = None) -> None:
        """Let `alias` mean this version, and no other one of the model."""
        set_alias(self.folder.parent.parent, self.name, alias, self.version, why=why)

    def remove_alias(self, alias: str, *, why: str | None = None) -> None:
        """Remove an alias of this version.

        Raises
        ------
        NotFoundError
            `alias` does not mean this version.
        """
        if alias not in self.aliases:
            raise NotFoundError(f"{self.id} has no alias '{alias}'; {suggest(alias, self.aliases)}")
        unset_alias(self.folder.parent.parent, self.name, alias, why=why)

    def delete(self) -> None:
        """Remove this version for good; its number is never used again.

        Raises
        ------
        ModelError
            An alias means it, or its files belong to somebody else.
        """
        remove_version(find_removable(self.folder.parent.parent, self.id))

    @staticmethod
    def list(
        workspace: HasModels,
        name: str | None = None,
        tags: Filter | None = None,
        properties: Filter | None = None,
        run_id: str | None = None,
        latest: bool = False,
    ) -> Sequence[Model]:
        """The registered models, newest first.

        Parameters
        ----------
        tags, properties : list or dict
            What a model must have: keys, or pairs of a key and its value.
        latest : bool
            Whether to list only the newest version of each name.
        """
        models = [
            Model.of(model)
            for model in list_models(workspace.models_path)
            if name in (None, model.name)
            and run_id in (None, model.run)
            and _has(model.tags, tags or ())
            and _has(model.properties, properties or ())
        ]
        newest = {model.name: model for model in sorted(models, key=lambda model: model.version)}
        return [model for model in models if model is newest[model.name]] if latest else models

    @staticmethod
    def register(
        workspace: HasModels,
        model_path: str,
        model_name: str,
        *,
        tags: dict[str, str] | None = None,
        properties: dict[str, str] | None = None,
        description: str | None = None,
        model_framework: str = nouns.Model.Framework.SCIKITLEARN,
        model_framework_version: str | None = None,
        resource_configuration: ResourceConfiguration | None = None,
    ) -> Model:
        """Register a local file that no run wrote, as if this interpreter had trained it."""
        registration = Registration(
            name=model_name,
            path=model_path,
            framework=str(model_framework),
            framework_version=model_framework_version,
            description=description or "",
            tags=tags or {},
            properties=properties or {},
            resource_configuration=resource_configuration,
        )
        return Model.of(register_file(Path(model_path), registration, models=workspace.models_path))

    def add_tags(self, tags: Mapping[str, object]) -> None:
        """Set tags of this version; what was registered stays in its record."""
        values = mapping("add_tags", tags)
        texts = {key: "" if value is None else text(to_json_scalar(value)) for key, value in values.items()}
        self.tags = set_tags(self, texts).over(self.registered_tags)

    def remove_tags(self, tags: Sequence[str]) -> None:
        """Remove tags of this version, registered ones too."""
        self.tags = set_tags(self, {}, remove=tags).over(self.registered_tags)

    @staticmethod
    def deploy(
        workspace: Any,
        name: str,
        models: Sequence[Model] | Model,
        inference_config: Any = None,
        deployment_config: Any = None,
        overwrite: bool = False,
    ) -> Service:
        """Package exactly one model and start its service in the background.

        Raises
        ------
        DeploymentError
            A service of that name is running without `overwrite`, or the model cannot be served.
        """
        if inference_config is not None:
            raise DeploymentError("inference_config: not supported; the service is made from the model alone")
        return launch.deploy(workspace, name, models, deployment_config, overwrite=overwrite)

    @staticmethod
    def package(workspace: Any, models: Sequence[Model]) -> Any:
        """Package exactly one model without starting a service."""
        return packaging.package_only(workspace, models)


def _has(values: Mapping[str, str], required: Filter) -> bool:
    """Whether a model's tags or properties pass the filter."""
    for item in required.items() if isinstance(required, Mapping) else required:
        key, value = (item, None) if isinstance(item, str) else item
        if key not in values or value not in (None, values[key]):
            return False
    return True
