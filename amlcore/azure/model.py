"""Azure ML's Model: listed, registered from a file, deployed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from amlcore import model as nouns
from amlcore.errors import DeploymentError
from amlcore.model import list_models
from amlcore.model.model import HasModels
from amlcore.model.registration import Registration, ResourceConfiguration, register_file
from amlcore.serving import launch, packaging
from amlcore.serving.service import Service

Asked = Mapping[str, str] | Sequence[str | tuple[str, str] | list[str]]
"""Keys, or pairs of a key and its value."""


class Model(nouns.Model):
    """A registered model; `Model(ws, name)` is the newest version of it."""

    @classmethod
    def of(cls, model: nouns.Model) -> Model:
        """The same model with the methods of this class."""
        return cls.load_record(model.folder)

    @staticmethod
    def list(
        workspace: HasModels,
        name: str | None = None,
        tags: Asked | None = None,
        properties: Asked | None = None,
        run_id: str | None = None,
        latest: bool = False,
    ) -> Sequence[Model]:
        """The registered models, newest first.

        Parameters
        ----------
        tags, properties : list or dict
            What a model must have: keys, or pairs of a key and its value.
        latest : bool
            Only the newest version of each name.
        """
        found = [
            Model.of(model)
            for model in list_models(workspace.models_path)
            if name in (None, model.name)
            and run_id in (None, model.run)
            and _has(model.tags, tags or ())
            and _has(model.properties, properties or ())
        ]
        newest = {model.name: model for model in sorted(found, key=lambda model: model.version)}
        return [model for model in found if model is newest[model.name]] if latest else found

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
        """Register a file of this machine that no run wrote; this interpreter counts as the one that trained it."""
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

    @staticmethod
    def deploy(
        workspace: Any,
        name: str,
        models: Sequence[Model] | Model,
        inference_config: Any = None,
        deployment_config: Any = None,
        overwrite: bool = False,
    ) -> Service:
        """Package exactly one model, and start its service in the background.

        Raises
        ------
        DeploymentError
            A service of that name is running and `overwrite` is false, or the model cannot be served.
        """
        if inference_config is not None:
            raise DeploymentError("inference_config: there is no entry script here; the service is made from the model")
        return launch.deploy(workspace, name, models, deployment_config, overwrite=overwrite)

    @staticmethod
    def package(workspace: Any, models: Sequence[Model]) -> Any:
        """Package exactly one model, and start nothing."""
        return packaging.package_only(workspace, models)


def _has(held: Mapping[str, str], asked: Asked) -> bool:
    """Whether a model's tags or properties are as they are asked for."""
    for one in asked.items() if isinstance(asked, Mapping) else asked:
        key, value = (one, None) if isinstance(one, str) else one
        if key not in held or value not in (None, held[key]):
            return False
    return True
