"""The Job: all parts of one request, as Hydra composes them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, cast

import yaml
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from amlcore.compute import BACKENDS, ComputeTarget
from amlcore.config.grammar.escaping import escape_interpolations
from amlcore.config.versions import register_resolver
from amlcore.environment import Environment
from amlcore.model import Registration
from amlcore.script.run_config import ScriptRunConfig
from amlcore.serving.deployment import Deployment
from amlcore.sweep import EarlyTermination, Sweep
from amlcore.worker.run_names import experiment_of
from amlcore.workspace import Workspace

# Only the worker knows where a script finds its input, so `${input:NAME}` stays as it is until then.
register_resolver("input", lambda *name: f"${{input:{','.join(map(str, name))}}}")

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # a sweep writes a configuration for each trial


@dataclass
class Job:
    """A whole request: the workspace, environment, compute target and script, and what becomes of the model."""

    workspace: Workspace
    environment: Environment
    compute: ComputeTarget
    script: ScriptRunConfig
    model: Registration
    sweep: Sweep | None = None
    deployment: Deployment | None = None
    experiment_name: str | None = None
    experiment: Any = field(default=None, repr=False)  # where a file of conf/experiment without `@package` would end up

    @property
    def name(self) -> str:
        """The experiment that the run belongs to."""
        return self.experiment_name or experiment_of(self.script.name)

    def rooted(self, root: Path) -> Job:
        """The same job with absolute paths for its script; relative ones start at `root`."""
        script = replace(
            self.script,
            source_directory=str(root / self.script.source_directory),
            inputs={name: replace(value, path=str(root / value.path)) for name, value in self.script.inputs.items()},
        )
        return replace(self, script=script, workspace=replace(self.workspace, root=str(root)))

    def in_chosen_environment(self) -> Job:
        """The same job with the environment that `environment=auto` chooses for its script."""
        script = self.script
        environment = self.environment.for_script(
            script.file, source=Path(script.source_directory), root=self.workspace.path
        )
        return replace(self, environment=environment)

    def moved(self, root: Path) -> Job:
        """The same job after its workspace was moved to `root`; paths inside the workspace move with it."""
        old = self.workspace.path
        if root.resolve() == old.resolve():
            return self

        def there(path: str) -> str:
            return str(root / Path(path).relative_to(old)) if Path(path).is_relative_to(old) else path

        inputs = {name: replace(value, path=there(value.path)) for name, value in self.script.inputs.items()}
        script = replace(self.script, source_directory=there(self.script.source_directory), inputs=inputs)
        return replace(self, script=script, workspace=replace(self.workspace, root=str(root)))

    def to_value(self) -> dict[str, Any]:
        """The job as plain values, fit for YAML and JSON."""
        script = replace(self.script, environment=None, compute_target=None)
        value = asdict(replace(self, script=script), dict_factory=_with_enum_values)
        for ignored in ("environment", "compute_target"):
            del value["script"][ignored]
        del value["experiment"]
        value["root"] = value["workspace"].pop("root")
        return value

    def to_yaml(self) -> str:
        return str(yaml.dump(self.to_value(), Dumper=_DUMPER, sort_keys=False, allow_unicode=True))

    @classmethod
    def from_yaml(cls, text: str) -> Job:
        """The job that `to_yaml` wrote; raises ValueError where that is not YAML."""
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(f"it is not YAML: {str(error).splitlines()[0]}") from None
        return cls.from_value(value)

    @classmethod
    def from_value(cls, value: dict[str, Any]) -> Job:
        """The job that `to_value` gave; raises ValueError where a key is missing or wrong."""
        try:
            return cls.from_config(job_config(value)).rooted(Path(value["root"]))
        except OmegaConfBaseException as error:
            raise ValueError(str(error).partition("\n")[0]) from None

    @classmethod
    def from_config(cls, config: DictConfig) -> Job:
        return cast(Job, OmegaConf.to_object(config))


def _with_enum_values(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: _without_enums(value) for name, value in items}


def _without_enums(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_without_enums(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def job_config(value: dict[str, Any]) -> DictConfig:
    """The typed configuration of a job from the mapping that `Job.to_value` gave; its paths are not rooted yet."""
    schema = OmegaConf.structured(Job)
    schema.compute = OmegaConf.structured(BACKENDS[value["compute"]["kind"]])
    if value.get("sweep") is not None:
        schema.sweep = OmegaConf.structured(Sweep)
        if value["sweep"].get("early_termination") is not None:
            schema.sweep.early_termination = OmegaConf.structured(EarlyTermination)
    return cast(
        DictConfig,
        OmegaConf.merge(schema, {key: escape_interpolations(item) for key, item in value.items() if key != "root"}),
    )


def store_schemas() -> None:
    """Tell Hydra the types of all groups, once; the options name them in their defaults lists."""
    store = ConfigStore.instance()
    job = store.repo.get("schema", {}).get("job.yaml")
    if job is not None and OmegaConf.get_type(job.node) is Job:
        return
    for name, noun in {
        "job": Job,
        "workspace": Workspace,
        "environment": Environment,
        "script": ScriptRunConfig,
        "model": Registration,
        "sweep": Sweep,
        "deployment": Deployment,
    }.items():
        store.store(group="schema", name=name, node=noun)
    for name, backend in BACKENDS.items():
        store.store(group="schema/compute", name=name, node=backend)
    store.store(group="schema/sweep", name="early_termination", node=EarlyTermination)
