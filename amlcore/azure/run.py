"""Azure ML's Run: found in a workspace, with a method that registers its model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amlcore.runs import run as nouns

if TYPE_CHECKING:
    from amlcore.azure.model import Model
    from amlcore.workspace import Workspace


class Run(nouns.Run):
    """A run; inside its script it logs, outside it is followed, canceled and registered from."""

    @classmethod
    def of(cls, run: nouns.Run) -> Run:
        """The same run with the methods of this class."""
        return cls(run.folder)

    @staticmethod
    def get(workspace: Workspace, run_id: str) -> Run:
        """The run with this id in `workspace`; the beginning of the id is enough if it is unique."""
        from amlcore.runs.find import find

        return Run.of(find(workspace.run_folders, run_id))

    def register_model(
        self,
        model_name: str,
        model_path: str = "outputs/model.joblib",
        tags: dict[str, str] | None = None,
        properties: dict[str, str] | None = None,
        model_framework: str | None = None,
        model_framework_version: str | None = None,
        description: str | None = None,
        sample_input_dataset: str | None = None,
        resource_configuration: Any = None,
    ) -> Model:
        """Register a file or folder of this run's outputs as the next version of `model_name`.

        Parameters
        ----------
        sample_input_dataset : str, optional
            A path in the run with rows that the model takes; by default what `run.log_sample` kept.

        Raises
        ------
        ModelError
            The run did not write the path, or the model cannot be loaded from it.
        """
        # Heavy, and of no use to a script that only logs.
        from amlcore.azure.model import Model
        from amlcore.execution.publication import register
        from amlcore.model import Registration

        registration = Registration(
            name=model_name,
            path=model_path,
            tags=tags or {},
            properties=properties or {},
            framework=model_framework or "ScikitLearn",
            framework_version=model_framework_version,
            description=description or "",
            sample_input=sample_input_dataset,
            resource_configuration=resource_configuration,
        )
        return Model.of(register(self.record, registration))
