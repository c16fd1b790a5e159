"""What a script runs in: declared, resolved to a lock, built once, cached by its content."""

from amlcore.environment.build import BuiltEnvironment, build_lock
from amlcore.environment.cache_contents import CachedEnvironment, list_environments, prune
from amlcore.environment.environment import Environment
from amlcore.environment.guard import shared_interpreter_lock
from amlcore.environment.interpreter import PythonRequest
from amlcore.environment.lock import extend_lock
from amlcore.environment.specification import Specification

__all__ = [
    "BuiltEnvironment",
    "CachedEnvironment",
    "Environment",
    "PythonRequest",
    "Specification",
    "build_lock",
    "extend_lock",
    "list_environments",
    "prune",
    "shared_interpreter_lock",
]
