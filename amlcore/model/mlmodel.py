"""The folder of a model as MLflow writes it: its file MLmodel says what the other files are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from amlcore.errors import ModelError
from amlcore.model.model_files import MODEL_FILES
from amlcore.model.sample import ROWS, Sample
from amlcore.record.reading import SAFE_LOADER

FILE = "MLmodel"
"""Loaded itself, by MLflow, where the model is not a pickled estimator."""

_DTYPES = {
    **{"boolean": "bool", "integer": "int32", "long": "int64", "float": "float32", "double": "float64"},
    **{"string": "object", "binary": "object", "datetime": "datetime64[ns]"},
}


class MLmodel:
    """What MLflow says of the model in a folder.

    Raises
    ------
    ModelError
        Its file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            document = yaml.load((folder / FILE).read_text("utf-8"), Loader=SAFE_LOADER)
            self._flavors: dict[str, dict[str, Any]] = dict(document["flavors"])
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
            raise ModelError(f"{folder / FILE} is not a model of MLflow: {error}") from None
        self._document: dict[str, Any] = document

    @classmethod
    def find(cls, folder: Path) -> MLmodel | None:
        """The model in `folder`; None if MLflow did not write it."""
        return cls(folder) if (folder / FILE).is_file() else None

    @property
    def main(self) -> str:
        """The file that is loaded: the estimator itself if it was pickled, otherwise MLflow's own file."""
        for name, flavor in self._flavors.items():
            path = str(flavor.get("pickled_model" if name == "sklearn" else "data"))
            is_pickled = name != "python_function" and path.endswith(MODEL_FILES)
            if is_pickled and (self._folder / path).is_file():
                return path
        return FILE

    @property
    def sample(self) -> Sample | None:
        """The example of an input that was saved with the model; None without one, or if it is not a table."""
        about = self._document.get("saved_input_example_info") or {}
        try:
            value = json.loads((self._folder / about["artifact_path"]).read_text("utf-8"))
            columns, rows = _table(value)
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return None
        if not rows or len({len(row) for row in rows}) > 1:
            return None
        return Sample(columns, self._dtypes(columns, len(rows[0])), rows[:ROWS])

    def _dtypes(self, columns: list[str] | None, width: int) -> list[str] | None:
        """The types of the columns as the signature has them."""
        try:
            inputs = json.loads(self._document["signature"]["inputs"])
            if columns is None:
                return [str(inputs[0]["tensor-spec"]["dtype"])] * width
            by_name = {item["name"]: _DTYPES[item["type"]] for item in inputs}
            return [by_name[name] for name in columns]
        except (ValueError, LookupError, TypeError):
            return None


def _table(value: Any) -> tuple[list[str] | None, list[list[Any]]]:
    """The columns, if they have names, and the rows of an example in any of the forms that MLflow writes."""
    if isinstance(value, dict) and "dataframe_split" in value:
        value = value["dataframe_split"]
    if isinstance(value, dict) and "data" in value:
        columns = value.get("columns")
        return (None if columns is None else [str(name) for name in columns]), [list(row) for row in value["data"]]
    if isinstance(value, dict):
        value = value["inputs"] if "inputs" in value else value["instances"]
    if isinstance(value[0], dict):
        columns = list(value[0])
        return columns, [[row[name] for name in columns] for row in value]
    return None, [list(row) for row in value]
