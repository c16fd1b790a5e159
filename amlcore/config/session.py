"""One request to Hydra: its workspace, its loader, and every YAML file read once for it."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from hydra._internal.utils import create_config_search_path
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from amlcore.config.explain import Explainer
from amlcore.config.files.key_locations import SHIPPED
from amlcore.config.files.loader import Loader
from amlcore.config.files.yaml_source import check_config_files, yaml_sources
from amlcore.config.job import store_schemas
from amlcore.config.versions import register_resolver
from amlcore.errors import AmlcoreError

if TYPE_CHECKING:
    from hydra.core.config_search_path import ConfigSearchPath

GROUPS = sorted(path.name for path in SHIPPED.iterdir() if path.is_dir())

_HYDRA_LOCK = threading.RLock()  # Hydra's registry and the warning filters belong to the whole process


@dataclass
class _Session:
    root: Path

    @cached_property
    def loader(self) -> Loader:
        return Loader(create_config_search_path(str(SHIPPED)))


_SESSION: ContextVar[_Session | None] = ContextVar("session", default=None)


def loader() -> Loader:
    """The loader of the session that is open."""
    session = _SESSION.get()
    assert session is not None, "no session is open"
    return session.loader


@contextmanager
def session(root: Path) -> Iterator[None]:
    """Let Hydra read the files of the workspace at `root`; a session inside one of the same workspace joins it."""
    current = _SESSION.get()
    if current is not None and current.root == root:
        yield
        return
    store_schemas()
    check_config_files(root / "conf", GROUPS)
    with _HYDRA_LOCK:
        token = _SESSION.set(_Session(root))
        try:
            with yaml_sources():
                yield
        finally:
            _SESSION.reset(token)


@contextmanager
def explaining_errors(root: Path, overrides: list[str], *, config_name: str = "config") -> Iterator[Explainer]:
    """A session in which whatever Hydra and OmegaConf raise becomes one ConfigError about what the user wrote."""
    with session(root), warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning, module=r"hydra\.")  # a message, without Hydra's code
        explainer = Explainer(loader, overrides, root, config_name=config_name)
        try:
            yield explainer
        except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
            raise explainer.error_for(error) from None
        except AmlcoreError:
            raise
        except Exception as error:  # a malformed file can make Hydra raise anything
            raise explainer.keys.none_group_error() or explainer.unexpected_error(error) from error


def add_project_conf(search_path: ConfigSearchPath) -> None:
    """Search the project's own conf/ before the shipped one; called by the search-path plugin."""
    current = _SESSION.get()
    conf = (SHIPPED.parent if current is None else current.root) / "conf"
    if conf.is_dir() and not conf.samefile(SHIPPED):
        search_path.prepend(provider="project", path=f"file://{conf}", anchor="main")


def _shipped(path: str) -> str:
    """`path` where the workspace has it, else the copy that comes with amlcore."""
    current = _SESSION.get()
    root = Path() if current is None else current.root
    return path if (root / path).exists() else str(SHIPPED.parent / path)


register_resolver("shipped", _shipped)
