"""The public names of amlcore: one list, which every other place that must repeat it repeats whole."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import amlcore

PACKAGE = Path(amlcore.__file__).parent
STANDINS = PACKAGE / "worker/standins"
PUBLIC = set(amlcore._HOMES)

# What azureml.core of SDK v1 exports and scripts import from there.
OF_AZUREML = {
    *("ComputeTarget", "ContainerRegistry", "Dataset", "Datastore", "Environment", "Experiment", "Image", "Keyvault"),
    *("LinkedService", "Model", "PrivateEndPoint", "ResourceConfiguration", "Run", "RunConfiguration"),
    *("ScriptRunConfig", "Webservice", "Workspace"),
}


def constant(path: Path, name: str) -> set[str]:
    """The strings in the tuple or list that is assigned to `name` in a file that cannot be imported here."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
            return set(ast.literal_eval(node.value))
    raise AssertionError(f"{path} assigns no {name}")


def type_checked_names() -> set[str]:
    (block,) = (
        node
        for node in ast.parse((PACKAGE / "__init__.py").read_text()).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    return {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}


@pytest.mark.parametrize(
    ("place", "names", "expected"),
    [
        ("__all__", set(amlcore.__all__), PUBLIC | {"__version__"}),
        ("the imports for type checkers", type_checked_names(), PUBLIC),
        (
            "the stand-in for amlcore",
            constant(STANDINS / "amlcore/amlcore/__init__.py", "DRIVER_NAMES"),
            PUBLIC - {"Run"},
        ),
        (
            "the stand-in for azureml",
            constant(STANDINS / "azureml/azureml/core/__init__.py", "OFFERED"),
            PUBLIC & OF_AZUREML - {"Run"},
        ),
        (
            "what the stand-in for azureml refuses",
            constant(STANDINS / "azureml/azureml/core/__init__.py", "UNSUPPORTED"),
            OF_AZUREML - PUBLIC,
        ),
    ],
)
def test_every_list_of_public_names_is_the_same(place: str, names: set[str], expected: set[str]) -> None:
    assert not expected - names, f"{place} lacks {sorted(expected - names)}"
    assert not names - expected, f"{place} has {sorted(names - expected)}, which are not public"


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_public_name_is_importable_and_is_called_so(name: str) -> None:
    assert getattr(amlcore, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'amlcore' has no attribute 'Nothing'"):
        _ = amlcore.Nothing
