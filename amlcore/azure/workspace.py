"""Azure ML's Workspace: the way to its runs, models, environments and services."""

from __future__ import annotations

import warnings
from pathlib import Path

from amlcore import workspace as nouns
from amlcore.azure.conversion import as_azure
from amlcore.azure.environment import Environment
from amlcore.azure.experiment import Experiment
from amlcore.azure.model import Model
from amlcore.azure.run import Run
from amlcore.config import compose_environment, compose_workspace, environment_options
from amlcore.errors import LeftOutWarning, NotFoundError
from amlcore.model import list_models
from amlcore.runs.find import find, newest_first, readable
from amlcore.serving.service import Service, list_services
from amlcore.worker.root import MARKER, find_root
from amlcore.worker.run_names import is_experiment

BOUND_ENVIRONMENTS = ("auto", "file", "script")  # options that mean nothing without the file of a run


class Workspace(nouns.Workspace):
    """A folder that remembers its runs, models, environments and services."""

    @classmethod
    def from_config(cls, path: str | None = None) -> Workspace:
        """Open the workspace of `path` (default: the working folder), found by its marker there or in a folder above.

        Raises
        ------
        NotFoundError
            Neither `path` nor a folder above it has a marker.
        """
        start = Path(path or ".").absolute()
        root = find_root(str(start if start.is_dir() else start.parent))
        if root is None:
            raise NotFoundError(
                f"no workspace: neither {start} nor a folder above it has {MARKER} (or Azure ML's config.json); "
                f"create one with `aml init {start}`, or with Workspace.create() in Python"
            )
        return as_azure(cls, compose_workspace(Path(root)))

    @classmethod
    def create(cls, name: str | None = None, *, path: str = ".") -> Workspace:
        """Make `path` a workspace, unless it already is one, and open it."""
        cls(root=path).mark(name)
        return cls.from_config(path)

    def composed(self) -> Workspace:
        """The same workspace with the settings of its conf/."""
        return as_azure(type(self), compose_workspace(self.path))

    @property
    def experiments(self) -> dict[str, Experiment]:
        """The experiments with a folder in outputs/; other folders are ignored."""
        names = sorted(folder.name for folder in self.experiment_folders)
        return {name: Experiment(self, name) for name in names if is_experiment(name)}

    @property
    def runs(self) -> list[Run]:
        """All runs, newest first; a run with a damaged record is left out, with a warning that names it."""
        return [Run.of(run) for run in readable(newest_first(self.run_folders))]

    def find_runs(
        self,
        where: str | None = None,
        *,
        experiment: str | None = None,
        children: bool = False,
        archived: bool = False,
        sort: str | None = None,
        ascending: bool = False,
        limit: int | None = None,
    ) -> list[Run]:
        """The runs that a filter such as `accuracy > 0.9 and user = anna` describes, as `aml runs` finds them.

        Parameters
        ----------
        children, archived : bool
            Find child runs and trials, or archived runs, too.
        sort : str, optional
            A metric, a parameter or a field to sort by, the highest first unless `ascending`; runs without it come
            last. By default the newest run comes first.

        Raises
        ------
        FilterError
            `where` is not a filter, or names what no run has.
        """
        from amlcore.index import find as find_rows  # imports sqlite3

        matches = find_rows(
            self, where, experiment=experiment, children=children, archived=archived, sort=sort, ascending=ascending
        )
        for reason in matches.skipped.values():
            warnings.warn(f"skipping a run: {reason}", LeftOutWarning, stacklevel=2)
        return [Run(str(self.outputs_path / row.place)) for row in matches.rows[:limit]]

    def get_run(self, run_id: str) -> Run:
        """The run with this id; the beginning of the id is enough if it is unique.

        Raises
        ------
        NotFoundError
            No run matches, or several do.
        """
        return Run.of(find(self.run_folders, run_id))

    @property
    def models(self) -> dict[str, Model]:
        """The newest version of each registered model."""
        newest: dict[str, Model] = {}
        for model in list_models(self.models_path):
            if model.name not in newest or model.version > newest[model.name].version:
                newest[model.name] = Model.of(model)
        return newest

    @property
    def environments(self) -> dict[str, Environment]:
        """The environments that can be chosen by name in this workspace."""
        names = [name for name in environment_options(self) if name not in BOUND_ENVIRONMENTS]
        return {name: as_azure(Environment, compose_environment(self, name)) for name in names}

    @property
    def services(self) -> dict[str, Service]:
        """The services that were started from this workspace, running or not."""
        return {service.name: service for service in list_services(self.state_path / "services")}

    webservices = services
