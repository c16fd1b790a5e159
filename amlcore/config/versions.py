"""What differs between the versions that amlcore works with: Hydra 1.3 with OmegaConf 2.3, and 1.4 with 2.4."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import hydra
from omegaconf import OmegaConf

try:
    from omegaconf._yaml import get_yaml_loader  # type: ignore[import-not-found]  # 2.4
except ImportError:
    from omegaconf._utils import get_yaml_loader

# OmegaConf 2.4 calls register_resolver() what was register_new_resolver(); before, that name had another meaning.
_is_renamed = "replace" in signature(OmegaConf.register_resolver).parameters
_register: Callable[..., None] = getattr(OmegaConf, "register_resolver" if _is_renamed else "register_new_resolver")

# Hydra 1.4 warns of this argument and needs none; 1.3 without it behaves like 1.1.
VERSION_BASE: dict[str, Any] = {"version_base": "1.3"} if hydra.__version__.startswith("1.3.") else {}

# What a resolver returns for the text `???`, which alone means a value that is not set: 2.4 wants it escaped.
QUESTION_MARKS_TEXT = r"\???" if _is_renamed else "???"


def register_resolver(name: str, resolver: Callable[..., Any]) -> None:
    """Let `${name:…}` mean what `resolver` returns."""
    _register(name, resolver, replace=True)


def yaml_loader() -> Any:
    """The class that OmegaConf reads YAML by, without a limit of its own on aliases: see alias_limit.py."""
    if "max_yaml_expanded_nodes" in signature(get_yaml_loader).parameters:
        return get_yaml_loader(max_yaml_expanded_nodes=None)
    return get_yaml_loader()
