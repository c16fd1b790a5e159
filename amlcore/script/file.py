"""What runs: a script by its path, or a module by its name; checked before anything starts."""

from __future__ import annotations

from pathlib import Path

from amlcore.errors import ConfigError, RequestError, suggest
from amlcore.worker.module_file import MAIN, find_module


def check_file(source: Path, *, script: str | None, module: str | None) -> None:
    """Check that the folder `source` has something to run.

    Raises
    ------
    ConfigError, RequestError
        Nothing is named, or both a script and a module, or it does not exist.
    """
    if not script and module is None:
        raise ConfigError(
            "script.script is not set: name a script (`aml run train.py`, script.script=train.py), "
            "a module (`aml run -M mypkg.train`, script.module=mypkg.train) or an option (script=train_iris)"
        )
    if script and module is not None:
        raise ConfigError(
            f"script.script={script} and script.module={module}: only one of them can run; set the other to null, "
            "as in script.script=null"
        )
    if not source.is_dir():
        what = "is a file, not a folder" if source.exists() else "does not exist"
        raise RequestError(f"script.source_directory={source}: the folder {what}")
    if module is not None:
        _check_inside(source, _module_file(source, module), setting=f"script.module={module}")
    elif script:
        _check_script(source, script)


def _check_script(source: Path, script: str) -> None:
    path = source / script
    if not path.is_file():
        scripts = [path.name for path in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise RequestError(f"script.script={script}: no such file in {source}; {suggest(path.name, scripts)}")
    place = _check_inside(source, script, setting=f"script.script={script}")
    if Path(script).is_absolute() or ".." in Path(script).parts:
        raise ConfigError(f"script.script={script}: must be a path inside script.source_directory: {place}")


def _check_inside(source: Path, file: str, *, setting: str) -> Path:
    """The path of a file inside the source, with links of its folder resolved."""
    path, root = source / file, source.resolve()
    place = path.parent.resolve() / path.name
    if not (place.is_relative_to(root) and path.resolve().is_relative_to(root)):
        raise RequestError(f"{setting}: lies outside script.source_directory={source}")
    return place.relative_to(root)


def _module_file(source: Path, module: str) -> str:
    """The file of a module that can run; the error says what is there instead."""
    if not all(part.isidentifier() for part in module.split(".")):
        dotted = ".".join(Path(module.removesuffix(".py")).parts).strip(".") or "mypkg.train"
        raise ConfigError(f"script.module={module}: must be the dotted name of a module, such as {dotted}")
    module_and_file = find_module(str(source), module)
    if module_and_file is not None:
        return module_and_file[1]
    if (source / module).is_file() and find_module(str(source), name := module.removesuffix(".py")) is not None:
        raise RequestError(f"script.module={module}: a module is named without .py; did you mean {name}?")
    folder = source.joinpath(*module.split("."))
    if (folder / "__init__.py").is_file():
        raise RequestError(
            f"script.module={module}: a package runs by its {MAIN}.py, and {folder} has none; "
            f"name one of its modules, such as {module}.train"
        )
    if find_module(str(source / "src"), module) is not None:
        raise RequestError(
            f"script.module={module}: no such module in {source}; src/ has it: set script.source_directory=src, or run "
            "`aml run -M` there"
        )
    parent = folder.parent
    names = [path.stem for path in parent.iterdir()] if parent.is_dir() else []
    modules = [name for name in names if name.isidentifier() and find_module(str(parent), name) is not None]
    raise RequestError(f"script.module={module}: no such module in {source}; {suggest(folder.name, modules)}")
