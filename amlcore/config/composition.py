"""Composition: arguments in, a Job out, everything checked once at this border."""

from __future__ import annotations

import io
import os
import re
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import hydra
import hydra._internal.hydra
import yaml
from hydra._internal.utils import create_config_search_path
from hydra.core.default_element import ConfigDefault, GroupDefault
from hydra.core.object_type import ObjectType
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from amlcore.config.explain import Explainer
from amlcore.config.files.key_locations import SHIPPED
from amlcore.config.files.loader import Loader
from amlcore.config.files.source import check_config_files, yaml_sources
from amlcore.config.grammar.requirement_lists import merge_requirement_lists
from amlcore.config.hydra_settings import check_hydra_settings
from amlcore.config.job import QUESTION_MARKS, Job, store_schemas
from amlcore.config.secrets import check_secrets, keep_references
from amlcore.errors import AmlcoreError, NotFoundError, must_be

if TYPE_CHECKING:
    from hydra._internal.config_repository import IConfigRepository
    from hydra.core.config_search_path import ConfigSearchPath

    from amlcore.compute import ComputeTarget
    from amlcore.environment import Environment
    from amlcore.workspace import Workspace

FILE_OPTION = "file"
"""The option of `environment` that holds nothing but what a file of requirements says."""

GROUPS = sorted(path.name for path in SHIPPED.iterdir() if path.is_dir())

_ROOT: ContextVar[Path] = ContextVar("root")
_HYDRA_LOCK = threading.RLock()  # the registry of Hydra and the filters of warnings are those of the whole process


def _shipped(path: str) -> str:
    """`path` where the workspace has it, else the copy of it that comes with amlcore."""
    return path if (_ROOT.get(Path()) / path).exists() else str(SHIPPED.parent / path)


OmegaConf.register_new_resolver("shipped", _shipped, replace=True)


def compose(overrides: list[str], *, root: Path, config_name: str = "config") -> Job:
    """Compose the job that `overrides` ask for in the workspace at `root`, apart from any Hydra program that runs.

    Its environment is the one that its script gets.

    Raises
    ------
    ConfigError
        A key, a value or an option is wrong; the message says where it was written and what is legal.
    """
    return compose_declared(overrides, root=root, config_name=config_name).in_chosen_environment()


def compose_declared(overrides: list[str], *, root: Path, config_name: str = "config") -> Job:
    """Compose the job as `compose` does, with its environment as it was declared, for whatever script."""
    with explaining_errors(root, overrides, config_name=config_name) as explainer:
        overrides = add_implied_choices(overrides, root=root, config_name=config_name)
        config = loader().load_configuration(config_name, overrides, run_mode=RunMode.RUN)
        if OmegaConf.get_type(config) is Job:  # else the base is missing, which is said below
            check_hydra_settings(config.hydra)
        if config.get("experiment"):
            raise explainer.of_experiment(config.hydra.runtime.choices.get("experiment"), config.experiment)
        with open_dict(config):
            del config["hydra"]
        _honour_none(config, overrides)
        return _job(config, root, explainer)


def answer_hydra_flag(overrides: list[str], *, root: Path, flags: Sequence[str], config_name: str = "config") -> None:
    """Let Hydra answer one of its own flags, such as --cfg, --info or --help, on stdout."""
    said = io.StringIO()  # Hydra's own printing does not bear a reader that goes away
    try:
        with explaining_errors(root, overrides, config_name=config_name), redirect_stdout(said):
            _hydra_main(
                [
                    f"--config-name={config_name}",
                    *flags,
                    *add_implied_choices(overrides, root=root, config_name=config_name),
                ]
            )
    finally:  # Hydra may end with SystemExit
        print(said.getvalue(), end="")


def compose_workspace(root: Path) -> Workspace:
    return compose_declared([], root=root).workspace


def compose_environment(workspace: Workspace, name: str) -> Environment:
    """The environment that `name` means in `workspace`: an option, or a name of its table."""
    known = environment_options(workspace)
    if name not in known and name not in workspace.environment_names:
        raise NotFoundError(f"environment '{name}': {must_be(name, [*known, *workspace.environment_names])}")
    return compose_declared([f"environment={name}"], root=workspace.path).environment


def compose_compute(workspace: Workspace, name: str) -> ComputeTarget:
    """The compute target that `name` means in `workspace`: an option, or a name of its table."""
    return compose_declared([f"compute={name}"], root=workspace.path).compute


def environment_options(workspace: Workspace) -> list[str]:
    """The names that `environment=` can be."""
    with _in_workspace(workspace.path):
        return list(loader().get_group_options("environment", ObjectType.CONFIG))


def quote_value(text: str) -> str:
    """`text` as a quoted string of Hydra's override grammar, where a backslash counts only before what it escapes."""
    if text == "???":
        return f"'{QUESTION_MARKS}'"
    escaped = re.sub(r"(\\*)(['\"]|\$\{|$)", _escaped, text)
    return f"'{escaped}'"


def _escaped(match: re.Match[str]) -> str:
    backslashes, special = match[1], match[2]
    if special == '"':
        return match[0]
    return backslashes * 2 + (f"\\{special}" if special else "")


def add_project_conf(search_path: ConfigSearchPath) -> None:
    """Let the project's own conf/ come before the shipped one; called by the search-path plugin."""
    conf = _ROOT.get(SHIPPED.parent) / "conf"
    if conf.is_dir() and not conf.samefile(SHIPPED):
        search_path.prepend(provider="project", path=f"file://{conf}", anchor="main")


def add_implied_choices(overrides: list[str], *, root: Path, config_name: str = "config") -> list[str]:
    """Name the options that are meant: by a file of requirements, and by names of the workspace's table."""
    known = [_known(override, root=root) for override in merge_requirement_lists(overrides)]
    known = [*_choices_of_experiment(known, config_name), *known]
    names_file = any(override.startswith("environment.file=") for override in overrides)
    names_option = any(override.startswith("environment=") for override in overrides)
    return [f"environment={FILE_OPTION}", *known] if names_file and not names_option else known


def _choices_of_experiment(overrides: list[str], config_name: str) -> list[str]:
    """The options that the chosen experiment names, as overrides: else those of a project's config.yaml would count."""
    given = {item.lstrip("+").partition("=")[0]: item.partition("=")[2] for item in overrides}
    if "~experiment" in given:
        return []
    repository = loader().repository
    experiments = given.get("experiment") or _named_in(repository, config_name)
    chosen: dict[str, str] = {}
    for name in experiments.strip("[]").split(","):
        _take_choices(repository, f"experiment/{name.strip()}", chosen, seen=set())
    return [f"{group}={option}" for group, option in chosen.items() if group not in given]


def _named_in(repository: IConfigRepository, config_name: str) -> str:
    """The experiment that a config chooses by itself."""
    loaded = repository.load_config(config_name)
    listed = loaded.defaults_list or [] if loaded else []
    names = [str(item.value) for item in listed if isinstance(item, GroupDefault) and item.group == "experiment"]
    return next((name for name in names if name != "None"), "")


def _take_choices(repository: IConfigRepository, path: str, chosen: dict[str, str], *, seen: set[str]) -> None:
    """Take up what a file of an experiment chooses, and after it what those do that it is made of."""
    loaded = repository.load_config(path) if path not in seen and not path.endswith("/") else None
    seen.add(path)
    listed = loaded.defaults_list or [] if loaded else []
    for item in listed:
        if isinstance(item, GroupDefault) and item.override and isinstance(item.value, str):
            group = str(item.group).lstrip("/")
            if not group.startswith("hydra"):
                chosen.setdefault(group, item.value)
    for item in listed:
        if isinstance(item, ConfigDefault) and item.path is not None and item.path != "_self_":
            inner = item.path.lstrip("/") if item.path.startswith("/") else f"{path.rpartition('/')[0]}/{item.path}"
            _take_choices(repository, inner, chosen, seen=seen)


def _known(override: str, *, root: Path) -> str:
    """The override with the option that the workspace's table gives for a name used elsewhere."""
    group, _, name = override.partition("=")
    if group not in ("environment", "compute") or name in loader().get_group_options(group, ObjectType.CONFIG):
        return override
    workspace = compose_workspace(root)
    table = workspace.environment_names if group == "environment" else workspace.compute_names
    return f"{group}={table.get(name, name)}"


def _honour_none(config: DictConfig, overrides: list[str]) -> None:
    """Let `model=none` and `deployment=none` stand, although the values of an experiment come after them."""
    if "model=none" in overrides and not any(override.startswith("model.name=") for override in overrides):
        config.model.name = None
    if "deployment=none" in overrides:
        config.deployment = None


def loader() -> Loader:
    return Loader(create_config_search_path(str(SHIPPED)))


def _hydra_main(arguments: list[str]) -> None:
    # Hydra reads the command line of a program and prints its errors; both are lent to it here, and so is our loader.
    given, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    lent = vars(hydra._internal.hydra)
    own_loader = lent["ConfigLoaderImpl"]
    lent["ConfigLoaderImpl"] = Loader
    sys.argv = ["aml", *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        hydra.main(config_path=str(SHIPPED), config_name="config", version_base="1.3")(_nothing)()
    finally:
        sys.argv = given
        lent["ConfigLoaderImpl"] = own_loader
        del os.environ["HYDRA_FULL_ERROR"]
        if full_error is not None:
            os.environ["HYDRA_FULL_ERROR"] = full_error


def _nothing(_: DictConfig) -> None:
    """A program for Hydra that is only asked about itself."""


@contextmanager
def _in_workspace(root: Path) -> Iterator[None]:
    store_schemas()
    check_config_files(root / "conf", GROUPS)
    with _HYDRA_LOCK:
        token = _ROOT.set(root)
        try:
            with yaml_sources():
                yield
        finally:
            _ROOT.reset(token)


@contextmanager
def explaining_errors(root: Path, overrides: list[str], *, config_name: str = "config") -> Iterator[Explainer]:
    with _in_workspace(root), warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning, module=r"hydra\.")  # one message, and none of its code
        explainer = Explainer(loader, overrides, root, config_name=config_name)
        try:
            yield explainer
        except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
            raise explainer.of(error) from None
        except AmlcoreError:
            raise
        except Exception as error:  # Hydra lets through whatever a strange file makes Python say
            raise explainer.of_null() or explainer.of_any(error) from error


def _job(config: DictConfig, root: Path, explainer: Explainer) -> Job:
    keep_references(config)
    for key in _unknown(config, ""):
        raise explainer.of_unknown(config, key)
    for key in sorted(OmegaConf.missing_keys(config)):
        raise explainer.of_unset(str(key))
    # A `???` in the option would not do: it does not overrule the null of the schema.
    if config.environment.name == FILE_OPTION and config.environment.file is None:
        raise explainer.of_unset("environment.file")
    try:
        job = cast(Job, OmegaConf.to_object(config))
    except AmlcoreError as error:
        raise explainer.located(error) from None
    check_secrets(job, explainer.overrides)
    return job.rooted(root)


def _unknown(node: Any, prefix: str) -> list[str]:
    """The keys that the schema does not have: `+` and `++` put them past it."""
    if not isinstance(node, DictConfig) or node._is_none() or node._is_missing():
        return []
    kind = OmegaConf.get_type(node)
    if not is_dataclass(kind):
        return []
    known = {field.name for field in fields(kind) if not field.metadata.get("omegaconf_ignore")}
    found = []
    for key in node:
        if key not in known:
            found.append(f"{prefix}{key!s}")
        elif not OmegaConf.is_interpolation(node, key):
            found += _unknown(node._get_node(key), f"{prefix}{key!s}.")
    return found
