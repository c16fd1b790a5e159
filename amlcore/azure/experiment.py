"""Azure ML's Experiment: the name under which runs are kept together in a workspace."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from amlcore.azure.run import Run
from amlcore.compute import ComputeTarget
from amlcore.config import Job, compose_compute, compose_environment
from amlcore.environment import Environment
from amlcore.errors import ConfigError
from amlcore.execution.background import drive_in_background
from amlcore.execution.submission import check_experiment, submit
from amlcore.model import Registration
from amlcore.runs.find import newest_first, readable
from amlcore.script.run_config import ScriptRunConfig
from amlcore.workspace import Workspace

DEFAULT_ENVIRONMENT = "auto"
DEFAULT_COMPUTE = "local"


class Experiment:
    """The runs of a workspace that share a name.

    Raises
    ------
    ConfigError
        The name cannot be the name of a folder.
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        check_experiment(name)
        self.workspace = workspace
        self.name = name

    def submit(self, config: ScriptRunConfig, tags: dict[str, str] | None = None) -> Run:
        """Take the snapshot of `config`, start the run in the background, and return at once.

        Raises
        ------
        RequestError
            Something in the request is missing or wrong; nothing was started.
        """
        if not isinstance(config, ScriptRunConfig):
            raise ConfigError(f"submit({config!r}): must be a ScriptRunConfig")
        job = Job(
            workspace=self.workspace,
            environment=self._environment(config.environment),
            compute=self._compute(config.compute_target),
            script=replace(config, environment=None, compute_target=None),
            model=Registration(name=None),
            experiment_name=self.name,
        ).rooted(Path.cwd())
        job = replace(job, workspace=self.workspace).in_chosen_environment()
        record = submit(job, overrides=[])
        run = Run(str(record.folder))
        for key, value in (tags or {}).items():
            run.tag(key, value)
        drive_in_background(record)
        return run

    def get_runs(self) -> list[Run]:
        """The runs of this experiment, newest first."""
        folders = (folder for folder in self.workspace.run_folders if folder.parent.name == self.name)
        return [Run.of(run) for run in readable(newest_first(folders))]

    def _environment(self, environment: Environment | str | None) -> Environment:
        if isinstance(environment, Environment):
            return environment
        return compose_environment(self.workspace, environment or DEFAULT_ENVIRONMENT)

    def _compute(self, target: ComputeTarget | str | None) -> ComputeTarget:
        if isinstance(target, ComputeTarget):
            return target
        return compose_compute(self.workspace, target or DEFAULT_COMPUTE)
