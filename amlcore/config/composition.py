"""Composition: overrides in, a Job out, everything checked once at this border."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.core.object_type import ObjectType
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from amlcore.config.experiment_choices import choices_of_experiment
from amlcore.config.grammar.requirement_lists import merge_requirement_lists
from amlcore.config.hydra_settings import check_hydra_settings
from amlcore.config.job import Job
from amlcore.config.key_references import KeyReference, key_references
from amlcore.config.secrets import check_secrets, keep_references
from amlcore.config.session import explaining_errors, loader, session
from amlcore.errors import AmlcoreError, ConfigError, NotFoundError, must_be
from amlcore.log import timed

if TYPE_CHECKING:
    from amlcore.compute import ComputeTarget
    from amlcore.config.explain import Explainer
    from amlcore.environment import Environment
    from amlcore.workspace import Workspace

FILE_OPTION = "file"
"""The option of `environment` that reads everything from a requirements file."""


@timed
def compose(overrides: list[str], *, root: Path, config_name: str = "config") -> Job:
    """Compose the job that `overrides` ask for in the workspace at `root`, independently of any other Hydra program.

    Its environment is the one that its script gets.

    Raises
    ------
    ConfigError
        A key, a value or an option is wrong; the message says where it was written and what it must be.
    """
    return compose_declared(overrides, root=root, config_name=config_name).in_chosen_environment()


def compose_declared(overrides: list[str], *, root: Path, config_name: str = "config") -> Job:
    """Compose the job as `compose` does, but leave `environment=auto` undecided."""
    return compose_with_references(overrides, root=root, config_name=config_name)[0]


def compose_with_references(
    overrides: list[str], *, root: Path, config_name: str = "config"
) -> tuple[Job, list[KeyReference]]:
    """The job of `compose_declared`, and where it refers to its own keys."""
    with explaining_errors(root, overrides, config_name=config_name) as explainer:
        overrides = add_implied_choices(overrides, root=root, config_name=config_name)
        config = loader().load_configuration(config_name, overrides, run_mode=RunMode.RUN)
        if OmegaConf.get_type(config) is Job:  # otherwise the base is missing, which _job reports
            check_hydra_settings(config.hydra)
        if config.get("experiment"):
            raise explainer.keys.experiment_key_error(config.hydra.runtime.choices.get("experiment"), config.experiment)
        with open_dict(config):
            del config["hydra"]
        _honour_none(config, overrides)
        return _job(config, root, explainer), key_references(config)


def compose_workspace(root: Path) -> Workspace:
    return compose_declared([], root=root).workspace


def compose_environment(workspace: Workspace, name: str) -> Environment:
    """The environment called `name` in `workspace`: an option, or a name of its table."""
    options = environment_options(workspace)
    if name not in options and name not in workspace.environment_names:
        raise NotFoundError(f"environment '{name}': {must_be(name, [*options, *workspace.environment_names])}")
    return compose_declared([f"environment={name}"], root=workspace.path).environment


def compose_compute(workspace: Workspace, name: str) -> ComputeTarget:
    """The compute target called `name` in `workspace`: an option, or a name of its table."""
    return compose_declared([f"compute={name}"], root=workspace.path).compute


def environment_options(workspace: Workspace) -> list[str]:
    """The options of `environment=`."""
    with session(workspace.path):
        return list(loader().get_group_options("environment", ObjectType.CONFIG))


def add_implied_choices(overrides: list[str], *, root: Path, config_name: str = "config") -> list[str]:
    """Add the options that other overrides imply: an experiment, environment.file, names of the workspace's table."""
    resolved = [_resolve_name(override, root=root) for override in merge_requirement_lists(overrides)]
    resolved = [*choices_of_experiment(loader().repository, resolved, config_name), *resolved]
    names_file = any(override.startswith("environment.file=") for override in overrides)
    names_option = any(override.startswith("environment=") for override in overrides)
    return [f"environment={FILE_OPTION}", *resolved] if names_file and not names_option else resolved


def _resolve_name(override: str, *, root: Path) -> str:
    """The override with the option that the workspace's table gives for a name used elsewhere."""
    group, _, name = override.partition("=")
    if group not in ("environment", "compute") or name in loader().get_group_options(group, ObjectType.CONFIG):
        return override
    workspace = compose_workspace(root)
    table = workspace.environment_names if group == "environment" else workspace.compute_names
    return f"{group}={table.get(name, name)}"


def _honour_none(config: DictConfig, overrides: list[str]) -> None:
    """Keep `model=none` and `deployment=none` even if an experiment sets values of those groups after them."""
    if "model=none" in overrides and not any(override.startswith("model.name=") for override in overrides):
        config.model.name = None
    if "deployment=none" in overrides:
        config.deployment = None


def _job(config: DictConfig, root: Path, explainer: Explainer) -> Job:
    for key in _unknown(config, ""):
        raise explainer.keys.unknown_key_error(config, key)
    try:
        keep_references(config)
    except ConfigError as error:
        raise explainer.located(error) from None
    for key in sorted(OmegaConf.missing_keys(config)):
        raise explainer.keys.unset_key_error(str(key))
    # `file: ???` in the option would not do: it does not override the null of the schema.
    if config.environment.name == FILE_OPTION and config.environment.file is None:
        raise explainer.keys.unset_key_error("environment.file")
    try:
        job = cast(Job, OmegaConf.to_object(config))
    except AmlcoreError as error:
        raise explainer.located(error) from None
    check_secrets(job, explainer.overrides)
    return job.rooted(root)


def _unknown(node: Any, prefix: str) -> list[str]:
    """The keys that the schema does not have: `+` and `++` can add them."""
    if not isinstance(node, DictConfig) or node._is_none() or node._is_missing():
        return []
    noun = OmegaConf.get_type(node)
    if not is_dataclass(noun):
        return []
    names = {field.name for field in fields(noun) if not field.metadata.get("omegaconf_ignore")}
    own = {field.name for field in fields(noun) if field.metadata.get("set_by_amlcore")}
    unknown = []
    for key in node:
        if key not in names or (key in own and _is_set(node, key)):
            unknown.append(f"{prefix}{key!s}")
        elif not OmegaConf.is_interpolation(node, key):
            unknown += _unknown(node._get_node(key), f"{prefix}{key!s}.")
    return unknown


def _is_set(node: DictConfig, key: Any) -> bool:
    return OmegaConf.is_interpolation(node, key) or node[key] is not None
