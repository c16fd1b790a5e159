"""MLflow's server without its database: importing that takes as long as importing MLflow itself.

`mlflow.server` imports the SQL store for the budgets of its gateway, which are off here, and to ask whether a store is
one. So there stands a class in its place that no store is an instance of.
"""

from __future__ import annotations

import sys
from types import ModuleType

NAME = "mlflow.store.tracking.sqlalchemy_store"


class SqlAlchemyStore:
    """No store of this process."""


def leave_out_database() -> None:
    """Do so in this process, before it imports `mlflow.server`."""
    module = ModuleType(NAME, "Not imported; see amlcore.page.server.no_database.")
    module.SqlAlchemyStore = SqlAlchemyStore  # type: ignore[attr-defined]
    sys.modules.setdefault(NAME, module)
