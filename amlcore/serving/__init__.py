"""A model becomes a Bento, and a Bento a live service."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from amlcore.serving.deployment import Deployment

if TYPE_CHECKING:
    from amlcore.serving.bento import Bento, find_bento, list_bentos, package
    from amlcore.serving.packaging import deploy, interpreter, package_model, package_only
    from amlcore.serving.service import Service, list_services, serve_in_foreground, start

__all__ = [
    "Bento",
    "Deployment",
    "Service",
    "deploy",
    "find_bento",
    "interpreter",
    "list_bentos",
    "list_services",
    "package",
    "package_model",
    "package_only",
    "serve_in_foreground",
    "start",
]

_HOMES = {
    **dict.fromkeys(("Service", "list_services", "serve_in_foreground", "start"), "service"),
    **dict.fromkeys(("Bento", "find_bento", "list_bentos", "package"), "bento"),
    **dict.fromkeys(("deploy", "interpreter", "package_model", "package_only"), "packaging"),
}


def __getattr__(name: str) -> Any:
    """What is not part of a configuration is imported when it is used."""
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
