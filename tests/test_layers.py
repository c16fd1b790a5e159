"""The house: a module imports only from the lines below its own."""

import ast
from pathlib import Path

import amlcore

PACKAGE = Path(amlcore.__file__).parent

# From the top down; modules of one line do not import each other, those of one package may.
LINES = [
    ["__main__"],
    ["cli"],
    ["cli_models", "cli_run", "completion"],
    ["arguments"],
    ["app_sweep", "dashboard"],
    ["progress"],
    ["app", "doctor", "tables", "project"],
    ["terminal"],
    ["experiment", "publication"],
    ["sweep_driver"],
    ["sweep_report"],
    ["earlier", "trials"],
    ["driver"],
    ["submission"],
    ["config"],
    ["sweep"],
    ["serving"],
    ["script"],
    ["script_file"],
    ["runs"],
    ["run"],
    ["details", "missing"],
    ["settle", "origin", "inspection"],
    ["compute"],
    ["request", "background"],
    ["model"],
    ["attached", "cancellation", "kept"],
    ["workspace", "environment", "snapshot", "record", "stream", "waiting"],
    ["source", "reading"],
    ["errors", "heartbeat", "interrupt", "ownership", "say"],
    ["worker"],
]
LEVELS = {name: level for level, line in enumerate(LINES) for name in line}

# Where v1's API points up: the import stands inside the method, so that nothing is loaded before it is called.
SEAMS = {
    ("workspace", "config"),  # Workspace.from_config reads the workspace's own configuration
    ("workspace", "experiment"),  # Workspace.experiments
    ("workspace", "model"),  # Workspace.models
    ("workspace", "runs"),  # Workspace.runs
    ("workspace", "serving"),  # Workspace.services
    ("environment", "config"),  # Environment.get
    ("model", "serving"),  # Model.deploy, Model.package
}


def _imports(path: Path) -> set[tuple[str, bool]]:
    """The modules of amlcore that a file imports, and whether at its top level."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    top = {id(node) for node in tree.body}
    found = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "amlcore":
            names = [node.module] if node.module != "amlcore" else [f"amlcore.{alias.name}" for alias in node.names]
            found |= {(str(name).split(".")[1], id(node) in top) for name in names if "." in str(name)}
        elif isinstance(node, ast.Import):
            found |= {(a.name.split(".")[1], id(node) in top) for a in node.names if a.name.startswith("amlcore.")}
    return {(name, at_top) for name, at_top in found if name != "__version__"}


def _module(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


FILES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if _module(path) not in ("__init__", "template") and "standins" not in path.parts
]


def test_every_module_has_its_line() -> None:
    assert {_module(path) for path in FILES} == set(LEVELS)


def test_imports_point_down() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in FILES
        for name, _ in _imports(path)
        if name != _module(path) and LEVELS[name] <= LEVELS[_module(path)] and (_module(path), name) not in SEAMS
    ]

    assert wrong == []


def test_seams_are_inside_a_function_and_all_in_use() -> None:
    upward = {(_module(path), name, at_top) for path in FILES for name, at_top in _imports(path)}

    assert {(module, name) for module, name, _ in upward} >= SEAMS
    assert [seam for seam in SEAMS if (*seam, True) in upward] == []
