"""The Registration: under which name and how a run's model is registered; the fields of the group `model`."""

import os
import re
from dataclasses import dataclass, field

from amlcore.errors import ConfigError, RequestError, must_be
from amlcore.model.model import Model
from amlcore.model.reference import check_alias

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
FRAMEWORKS = (Model.Framework.SCIKITLEARN.value,)
FORMATS = ("skops",)


@dataclass
class ResourceConfiguration:
    """The resources that a service of the model may use."""

    cpu: float = 1.0  # cores: workers times threads
    memory_in_gb: float = 0.5  # GB, stated with the service
    gpu: int = 0  # scikit-learn uses none

    def __post_init__(self) -> None:
        for key, value in (("cpu", self.cpu), ("memory_in_gb", self.memory_in_gb)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
                raise ConfigError(f"model.resource_configuration.{key}={value!r}: must be a number above 0")
        if self.gpu != 0:
            raise ConfigError(
                f"model.resource_configuration.gpu={self.gpu!r}: must be 0, since scikit-learn does not use a GPU"
            )


@dataclass
class Registration:
    """How a run's model file is registered; it is not if `name` is null."""

    name: str | None  # of the model; null: nothing is registered
    path: str = "outputs/model.joblib"  # the file, or a folder with one such file, in the run's outputs/
    mlflow: str | None = None  # instead of path: the name under which the script logged the model through MLflow
    framework: str = "ScikitLearn"  # the only one supported
    format: str | None = None  # skops: the model is kept in that format, which runs no code on load; null: as written
    trusted_types: list[str] = field(default_factory=list)  # further types that a model in skops format may contain
    framework_version: str | None = None  # as stated; null: the version that trained it
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    resource_configuration: ResourceConfiguration | None = None  # sizes the service
    alias: str | None = None  # that means the new version from then on, such as challenger
    sample_input: str | None = None  # outputs/sample.csv, .json or .npy; null: what run.log_sample wrote, if anything

    def __post_init__(self) -> None:
        self.path = os.fspath(self.path)
        self.sample_input = None if self.sample_input is None else os.fspath(self.sample_input)
        self.tags = {str(name): str(value) for name, value in self.tags.items()}
        self.properties = {str(name): str(value) for name, value in self.properties.items()}
        if self.name is not None and not MODEL_NAME.fullmatch(self.name):
            raise ConfigError(
                f"model.name={self.name!r}: must be at most 255 letters, digits, '-', '_' and '.', and start with a "
                "letter or digit"
            )
        if self.alias is not None:
            try:
                check_alias(self.alias, key=f"model.alias={self.alias}")
            except RequestError as error:
                raise ConfigError(str(error)) from None
        if self.framework not in FRAMEWORKS:
            raise ConfigError(f"model.framework={self.framework!r}: {must_be(self.framework, FRAMEWORKS)}")
        if self.format is not None and self.format not in FORMATS:
            raise ConfigError(f"model.format={self.format!r}: {must_be(self.format, FORMATS)}, or null")
