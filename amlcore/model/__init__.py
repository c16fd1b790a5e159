"""What becomes of a run's model: registered under a name, versioned, never changed."""

from amlcore.model.aliases import aliases_of
from amlcore.model.folders import registered
from amlcore.model.model import Model, find, list_models
from amlcore.model.provenance import Provenance
from amlcore.model.registration import Registration, ResourceConfiguration
from amlcore.model.registry import register

__all__ = [
    "Model",
    "Provenance",
    "Registration",
    "ResourceConfiguration",
    "aliases_of",
    "find",
    "list_models",
    "register",
    "registered",
]
