"""Advice for a script that cannot import a module: the file that lists its package, or the folder of the code."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from amlcore.environment.environment import Environment
from amlcore.environment.file_discovery import FILE_NAMES
from amlcore.environment.lock import blocks
from amlcore.environment.metadata import has_block
from amlcore.environment.specification import name_of
from amlcore.errors import EnvironmentSpecError

# Import names whose package has another name on the index.
_PACKAGES = {
    "Bio": "biopython",
    "Crypto": "pycryptodome",
    "IPython": "ipython",
    "MySQLdb": "mysqlclient",
    "OpenSSL": "pyopenssl",
    "PIL": "pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "fitz": "pymupdf",
    "git": "gitpython",
    "hydra": "hydra-core",
    "imblearn": "imbalanced-learn",
    "jwt": "pyjwt",
    "mpl_toolkits": "matplotlib",
    "pkg_resources": "setuptools",
    "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "skopt": "scikit-optimize",
    "umap": "umap-learn",
    "win32api": "pywin32",
    "yaml": "pyyaml",
}
# Modules of the standard library that were removed, and the last Python version that has them.
_UNTIL = {
    **dict.fromkeys(("asynchat", "asyncore", "distutils", "imp", "smtpd"), "3.11"),
    **dict.fromkeys(("aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr", "mailcap", "nntplib"), "3.12"),
    **dict.fromkeys(("lib2to3", "nis", "ossaudiodev", "pipes", "sndhdr", "spwd", "sunau", "telnetlib", "uu"), "3.12"),
    "xdrlib": "3.12",
}
_STANDINS = ("amlcore", "azureml")
_FOLDERS_WITHOUT_CODE = ("outputs", "models", "node_modules", "__pycache__")
_MAX_FOLDERS = 2000  # searched in a source


def missing_module_advice(module: str, *, job: dict[str, Any], lock: str) -> str | None:
    """How to let a script import `module`, which it could not; None if nothing is known.

    Parameters
    ----------
    job : dict
        The content of the run's config.yaml.
    lock : str
        The lock of the environment that the script ran in.
    """
    top = module.partition(".")[0]
    root, script = Path(job["root"]), job["script"]
    source = root / script["source_directory"]
    if top in _STANDINS:
        return None
    is_whole = module == top
    if is_whole and (own := _own_code(top, root=root, source=source, script=script)):
        return own
    package = _PACKAGES.get(top, top.replace("_", "-"))
    locked = blocks(lock)
    if package.lower() in locked:
        pin = locked[package.lower()].split()[0]
        return f"{pin} has no module {module}; try another version with environment.add=['{package}==VERSION']"
    if not is_whole:
        return None
    return _package(top, package, job["environment"], root=root, source=source, script=script["script"])


def _package(
    top: str, package: str, environment: dict[str, Any], *, root: Path, source: Path, script: str | None
) -> str:
    if top in _UNTIL:
        return f"{top} was part of Python until {_UNTIL[top]}: use environment.python={_UNTIL[top]}"
    path = source / (script or "")
    if package.lower() in _packages_in(path, root) and environment["file"] != _relative_path(root, path):
        return f"the block `# /// script` of {script} lists {package}: use environment=script"
    for file in _files(path.parent, root=root, source=source):
        if package.lower() in _packages_in(file, root) and environment["file"] != _relative_path(root, file):
            return f"{_relative_path(root, file)} lists {package}: use environment.file={_relative_path(root, file)}"
    if environment["user_managed_dependencies"]:
        return (
            f"environment={environment['name']} is the interpreter that runs amlcore: install {package} there, "
            f"or use environment=auto environment.add=[{package}]"
        )
    added = [name_of(one) or one for one in environment.get("add") or ()]
    listed = ",".join([*map(_quoted, environment.get("add") or ()), package] if package not in added else added)
    holder = environment["file"] or f"environment={environment['name']}"
    edit = f"add it to {holder}, or " if environment["file"] else ""
    return f"{holder} does not provide {top}; {edit}use environment.add=[{listed}] to add {package} from the index"


def _own_code(top: str, *, root: Path, source: Path, script: dict[str, Any]) -> str | None:
    """How to put the user's own module on the script's path; None if the module does not exist."""
    beside = source if script.get("module") else (source / (script["script"] or "")).parent
    variables = script.get("environment_variables") or {}
    for folder in _folders_with(top, source):
        if folder != beside:
            entry = folder.relative_to(source).as_posix()
            path = os.pathsep.join(filter(None, (variables.get("PYTHONPATH"), entry)))
            sign = "" if "PYTHONPATH" in variables else "+"
            project = "the project itself is not installed from its pyproject.toml: " * _has_project(folder, source)
            return f"{project}{sign}script.environment_variables.PYTHONPATH={path} lets the script import {top}"
    if source == root or not source.is_relative_to(root):
        return None
    for folder in (*[one for one in source.parents if one.is_relative_to(root)], *_inner(root)):
        if _holds(folder, top):
            entry = folder.relative_to(root).as_posix()
            inner = (source / (script["script"] or "")).relative_to(root).as_posix()
            return (
                f"{top} is in {folder}, outside script.source_directory: use script.source_directory=. "
                f"script.script={inner} +script.environment_variables.PYTHONPATH={entry}"
            )
    return None


def _inner(root: Path) -> list[Path]:
    names = sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith("."))
    return [root / name for name in names if name not in _FOLDERS_WITHOUT_CODE]


def _folders_with(top: str, source: Path) -> Iterator[Path]:
    for folder, names, _ in islice(os.walk(source), _MAX_FOLDERS):
        names[:] = sorted(name for name in names if not name.startswith(".") and name not in _FOLDERS_WITHOUT_CODE)
        if _holds(Path(folder), top):
            yield Path(folder)


def _holds(folder: Path, top: str) -> bool:
    package = folder / top
    return (folder / f"{top}.py").is_file() or (package.is_dir() and next(package.glob("*.py"), None) is not None)


def _has_project(folder: Path, source: Path) -> bool:
    above = [folder, *folder.parents]
    return any((one / "pyproject.toml").is_file() for one in above if one.is_relative_to(source))


def _files(start: Path, *, root: Path, source: Path) -> Iterator[Path]:
    """The files next to the script and in the folders above it, up to the workspace's root."""
    top = root if source.is_relative_to(root) else source
    folders = [one for one in (start, *start.parents) if one.is_relative_to(top)]
    yield from (path for folder in folders for name in FILE_NAMES if (path := folder / name).is_file())


def _packages_in(file: Path, root: Path) -> set[str]:
    """The names of the packages in a file; none if it cannot be read."""
    if file.suffix == ".py" and not has_block(file):
        return set()
    try:
        return {name_of(one) for one in Environment("file", file=str(file)).specify(root).requirements}
    except EnvironmentSpecError:
        return set()


def _relative_path(root: Path, path: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _quoted(requirement: str) -> str:
    return requirement if requirement.replace("-", "").replace("_", "").isalnum() else f"'{requirement}'"
