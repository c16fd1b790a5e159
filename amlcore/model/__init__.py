"""What becomes of a run's model: registered under a name, versioned, never changed."""

from amlcore.model.folders import registered
from amlcore.model.model import Model, find, list_models
from amlcore.model.registration import Provenance, Registration, ResourceConfiguration, register

__all__ = [
    "Model",
    "Provenance",
    "Registration",
    "ResourceConfiguration",
    "find",
    "list_models",
    "register",
    "registered",
]
