"""The house: a room imports only from floors below its own, and no files import each other in a circle."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import amlcore

PACKAGE = Path(amlcore.__file__).parent

# From the top down. Rooms of one floor do not import each other.
FLOORS = [
    ["__init__", "__main__"],
    ["cli"],
    ["app"],
    ["page"],
    ["azure", "terminal"],
    ["execution", "housekeeping"],
    ["index", "comparison"],
    ["runs", "config"],
    ["sweep", "serving"],
    ["script"],
    ["compute", "model"],
    ["environment", "snapshot"],
    ["workspace", "record"],
    ["errors", "log", "redaction", "version"],
    ["worker"],
]
LEVELS = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}


def _module(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {
    _module(path): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if not {"standins", "template", "scripts"} & set(path.relative_to(PACKAGE).parts)
}


def _imports(module: str) -> set[str]:
    """The files of amlcore that a file imports, inside functions and for type checkers too."""
    path = FILES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        imported |= {file for name in names if (file := _file(name)) is not None}
    return imported - {module}


def _file(name: str) -> str | None:
    """The file that holds `name`: a module, or the module that defines it."""
    while name and name not in FILES:
        name = name.rpartition(".")[0]
    return name or None


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


IMPORTS = {module: _imports(module) for module in FILES}


def test_every_room_has_its_floor() -> None:
    assert {_room(module) for module in FILES} == set(LEVELS)


def test_imports_point_down() -> None:
    upward = [
        f"{module} imports {imported}"
        for module in FILES
        for imported in IMPORTS[module]
        if _room(module) != _room(imported) and LEVELS[_room(module)] >= LEVELS[_room(imported)]
    ]

    assert upward == []


def test_no_files_import_each_other_in_a_circle() -> None:
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None


def test_copied_packages_import_nothing_else_of_amlcore() -> None:
    outward = [
        f"{module} imports {imported}"
        for part in ("amlcore.worker", "amlcore.serving.runtime", "amlcore.model.inputs")
        for module in FILES
        if module.startswith(part)
        for imported in IMPORTS[module]
        if not imported.startswith(part)
    ]

    assert outward == []
