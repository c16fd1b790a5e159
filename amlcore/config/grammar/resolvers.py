"""Registration of amlcore's own interpolations, by the name that OmegaConf's version has for it."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from omegaconf import OmegaConf

# OmegaConf 2.4 calls register_resolver() what was register_new_resolver(); before, that name had another meaning.
_is_renamed = "replace" in signature(OmegaConf.register_resolver).parameters
_register: Callable[..., None] = getattr(OmegaConf, "register_resolver" if _is_renamed else "register_new_resolver")


def register_resolver(name: str, resolver: Callable[..., Any]) -> None:
    """Let `${name:…}` mean what `resolver` returns."""
    _register(name, resolver, replace=True)
