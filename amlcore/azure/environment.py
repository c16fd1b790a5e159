"""Azure ML's Environment: chosen by name, or made from a file."""

from __future__ import annotations

from amlcore import environment as nouns
from amlcore.azure.conversion import as_azure
from amlcore.config import compose_environment
from amlcore.workspace import Workspace


class Environment(nouns.Environment):
    """Which Python and which packages a script runs with."""

    @staticmethod
    def get(workspace: Workspace, name: str) -> Environment:
        """The environment called `name` in `workspace`; the names of Azure ML's curated environments work too.

        Raises
        ------
        NotFoundError
            No environment has that name; the message suggests the nearest.
        """
        return as_azure(Environment, compose_environment(workspace, name))
