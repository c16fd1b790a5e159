"""`environment=auto`: the script's own block or a file beside it is used; without both there is advice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from amlcore import Environment, Experiment, ScriptRunConfig, Workspace
from amlcore.config import compose, compose_search
from amlcore.environment.missing_module import missing_module_advice
from amlcore.errors import AmlcoreError, ConfigError, EnvironmentSpecError
from tests.support.aml import Aml, Write

BLOCK = "# /// script\n# dependencies = ['six']\n# ///\n"
PYPROJECT = "[project]\nname = 'mine'\nversion = '1'\ndependencies = ['six']\n"
CONDA = "dependencies:\n- six\n"
TOOLS_ALONE = "[tool.ruff]\nline-length = 120\n"


def chosen(project: Path, *overrides: str, source: str = ".", script: str = "t.py") -> Environment:
    words = ["script=script", f"script.source_directory={source}", f"script.script={script}", *overrides]
    return compose(words, root=project).environment


def asked(environment: Environment, project: Path) -> tuple[str, ...]:
    return environment.specify(project).requirements


@pytest.mark.parametrize(
    ("files", "name", "file"),
    [
        ({}, "sklearn", None),
        ({"requirements.txt": "six\n"}, "file", "requirements.txt"),
        ({"requirements.txt": "﻿six\r\n"}, "file", "requirements.txt"),
        ({"pyproject.toml": PYPROJECT}, "file", "pyproject.toml"),
        ({"environment.yml": CONDA}, "file", "environment.yml"),
        ({"conda.yaml": CONDA}, "file", "conda.yaml"),
        ({"t.py": BLOCK, "requirements.txt": "six\n"}, "script", "t.py"),
        ({"t.py": "\ufeff" + BLOCK.replace("\n", "\r\n"), "requirements.txt": "joblib\n"}, "script", "t.py"),
        (
            {"environment.yml": CONDA, "pyproject.toml": PYPROJECT, "requirements.txt": "six"},
            "file",
            "requirements.txt",
        ),
        ({"requirements.txt": "# none yet\n", "environment.yml": CONDA}, "file", "environment.yml"),
        ({"pyproject.toml": TOOLS_ALONE, "conda.yml": CONDA}, "file", "conda.yml"),
        ({"pyproject.toml": TOOLS_ALONE}, "sklearn", None),
        ({"pyproject.toml": PYPROJECT.replace("['six']", "[]")}, "sklearn", None),
        ({"pyproject.toml": "[tool.poetry.dependencies]\nsix = '^1'\n"}, "sklearn", None),
        ({"pyproject.toml": "[project]\nname = 'x'\ndynamic = ['dependencies']\n"}, "sklearn", None),
        ({"environment.yml": "debug: true\n"}, "sklearn", None),
    ],
)
def test_the_block_then_the_file_beside_the_script(
    files: dict[str, str], name: str, file: str | None, project: Path, write: Write
) -> None:
    for path, text in {"t.py": "", **files}.items():
        write(path, text)

    environment = chosen(project)

    assert (environment.name, environment.file) == (name, file)
    assert (environment.otherwise, bool(file)) == (None, asked(environment, project) == ("six",))
    notes = environment.specify(project).notes
    assert len(notes) <= 1  # one line says which
    assert file is None or file in notes[0]
    says_nothing = set(files) - {"t.py"} if "tool.ruff" not in str(files) and "debug" not in str(files) else set()
    if name != "script" and says_nothing:
        (note,) = notes
        assert [path for path in says_nothing if path not in note] == []


@pytest.mark.parametrize(
    "text",
    [
        'project = 3\n[tool.poetry.dependencies]\nsix = "*"\n',
        "project = 3\ntool = 4\n",
        "[project]\ndynamic = 5\n",
        '[project]\ndynamic = ["dependencies"]\n[tool.setuptools]\ndynamic = 3\n',
        '[project]\ndynamic = ["dependencies"]\n[tool]\nsetuptools = []\n',
        '[project]\ndynamic = ["dependencies"]\n[tool.setuptools.dynamic.dependencies]\nfile = {}\n',
    ],
)
def test_a_project_of_an_odd_form_is_passed_over(text: str, project: Path, write: Write) -> None:
    write("t.py", "")
    write("pyproject.toml", text)

    assert chosen(project).name == "sklearn"


def test_a_file_of_a_folder_above_counts_up_to_the_source(project: Path, write: Write) -> None:
    write("code/jobs/fit/t.py", "")
    write("code/requirements.txt", "six\n")
    write("requirements.txt", "iniconfig\n")

    inside = chosen(project, source="code", script="jobs/fit/t.py")
    outside = chosen(project, source="code/jobs", script="fit/t.py")

    assert (inside.file, asked(inside, project)) == ("code/requirements.txt", ("six",))
    assert outside.name == "sklearn"
    assert "use it with environment.file=code/requirements.txt" in (outside.chosen or "")


def test_an_incomplete_block_is_not_passed_over(project: Path, write: Write) -> None:
    write("t.py", "# /// script\n# dependencies = ['six']\nprint()\n")
    write("requirements.txt", "joblib\n")

    with pytest.raises(EnvironmentSpecError, match=r"t\.py:1: the block `# /// script` is incomplete"):
        chosen(project).specify(project)


@pytest.mark.parametrize(("name", "is_noted"), [("amlcore", False), ("theirs", True)])
def test_the_project_of_amlcore_itself_is_not_proposed(name: str, is_noted: bool, project: Path, write: Write) -> None:
    """As in a checkout, whose shipped scripts are below its pyproject.toml."""
    write("scripts/t.py", "")
    write("pyproject.toml", f"[project]\nname = '{name}'\ndependencies = ['six']\n")

    note = chosen(project, source="scripts").chosen or ""

    assert ("use it with environment.file=pyproject.toml" in note) == is_noted
    assert bool(note) == is_noted


@pytest.mark.parametrize(
    ("override", "requirements"),
    [
        ("environment.file=other.txt", ("joblib",)),
        ("environment.packages=[joblib]", ("joblib",)),
        ("environment.add=[joblib]", ("six", "joblib")),
        ("+environment.packages=[joblib]", ("six", "joblib")),
        ("environment.add=['six<1.17']", ("six<1.17",)),
        ("environment.add=[joblib,six>=1.16,<1.17]", ("joblib", "six>=1.16,<1.17")),  # as a shell hands it over
        ('environment.add=[joblib[a,b]==1.5.2 , "six>1,<2"]', ("joblib[a,b]==1.5.2", "six>1,<2")),
        ("environment.packages=[git+https://example.org/a.git@v1#egg=a]", ("git+https://example.org/a.git@v1#egg=a",)),
        ("environment.packages=[six;python_version>'3']", ("six;python_version>'3'",)),
        (
            "environment.add=['Six[x]<1.17',\"six==1.16 ; python_version>'3'\"]",
            ("Six[x]<1.17", "six==1.16 ; python_version>'3'"),
        ),
    ],
)
def test_an_explicit_environment_overrides_the_detected_one(
    override: str, requirements: tuple[str, ...], project: Path, write: Write
) -> None:
    write("t.py", "")
    write("requirements.txt", "six\n")
    write("other.txt", "joblib\n")

    assert asked(chosen(project, override), project) == requirements


def test_repeated_additions_accumulate_in_runs_and_sweeps(project: Path, write: Write) -> None:
    write("t.py", "")
    write("requirements.txt", "six\n")
    twice = ["+environment.packages=[joblib]", "environment.add=['rich<14,>=13']", "+environment.add=[tomli]"]
    together = ("six", "joblib", "rich<14,>=13", "tomli")

    environment = compose(["script.script=t.py", *twice], root=project).environment
    assert asked(environment, project) == together
    search = compose_search(["script.script=t.py", *twice, "+script.arguments.a=1,2"], root=project)
    assert search is not None
    assert asked(search.job.environment, project) == together

    search = compose_search(["script.script=t.py", "+environment.packages=[joblib],[rich]"], root=project)
    assert search is not None
    trials = [search.trial(values)[0].environment for values in search.space.grid()]
    assert [asked(trial, project) for trial in trials] == [("six", "joblib"), ("six", "rich")]


def test_an_option_that_was_chosen_stays_as_it_is(project: Path, write: Write) -> None:
    write("t.py", BLOCK)
    write("requirements.txt", "six\n")
    own = "defaults: [/schema/environment@_here_, _self_]\nname: own\npackages: [joblib]\n"
    write("conf/environment/own.yaml", own)
    write("conf/config.yaml", "defaults: [base, _self_, experiment: null, override environment: own]\n")

    assert asked(chosen(project), project) == ("joblib",)
    assert chosen(project, "environment=current").user_managed_dependencies
    assert asked(chosen(project, "environment.add=[iniconfig]"), project) == ("joblib", "iniconfig")


def test_a_projects_own_default_is_what_is_fallen_back_to(project: Path, write: Write) -> None:
    write("t.py", "")
    own = "defaults: [/schema/environment@_here_, _self_]\nname: sklearn\npython: '3.11'\npackages: [joblib]\n"
    write("conf/environment/sklearn.yaml", own)

    environment = chosen(project, "environment.add=[iniconfig]")

    assert (asked(environment, project), environment.python) == (("joblib", "iniconfig"), "3.11")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("requirements.txt", "-e .\n"),
        ("pyproject.toml", "[project\n"),
        ("environment.yml", "dependencies: [\n"),
        ("environment.yml", "dependencies: [r-base]\n"),
        ("requirements.txt", "six\ncaf\xe9\n"),
    ],
)
def test_a_file_that_cannot_be_taken_says_so_and_how_to_go_without_it(
    file: str, text: str, project: Path, write: Write
) -> None:
    write("t.py", "")
    (project / file).write_bytes(text.encode("latin-1"))

    with pytest.raises(EnvironmentSpecError, match="to ignore it, use environment=sklearn") as caught:
        chosen(project).specify(project)

    assert str(caught.value).startswith(file)


def test_scripts_of_a_sweep_share_an_environment_or_are_refused(project: Path, write: Write) -> None:
    write("a/t.py", "")
    write("b/t.py", "")
    write("b/requirements.txt", "six\n")
    words = ["script=script", "script.source_directory=.", "script.script=a/t.py,b/t.py"]

    with pytest.raises(ConfigError, match=r"script\.script=b/t\.py: has a different environment"):
        compose_search(words, root=project)

    write("requirements.txt", "six\n")
    (project / "b/requirements.txt").unlink()
    search = compose_search([*words, "environment.add=[iniconfig],[joblib]"], root=project)
    assert search is not None
    trials = [{"script.script": "b/t.py", "environment.add": [name]} for name in ("iniconfig", "joblib")]
    environments = [search.trial(values)[0].environment for values in trials]
    assert [asked(one, project) for one in environments] == [("six", "iniconfig"), ("six", "joblib")]


def test_a_run_takes_what_lies_beside_its_script(aml: Aml, write: Write, project: Path) -> None:
    write("t.py", "import iniconfig\nprint('imported')\n")
    write("requirements.txt", "iniconfig==2.3.0\n")

    said = aml("run", "t.py")

    assert said.out == "imported\n"
    (line,) = [line for line in said.err.splitlines() if "requirements.txt" in line]
    used = "using requirements.txt, which is next to the script"
    assert line == f"aml: note: {used}; to ignore it, use environment=sklearn"
    shown = aml("show", "latest", "--json").json
    assert shown["environment"]["name"] == "file"
    assert f"{line}\n" in aml("run", "t.py", "--detach").err
    aml("wait", "latest")
    (project / "requirements.txt").write_text("six\n")
    assert aml("rerun", "latest").out == "imported\n"
    run = Experiment(Workspace(root=str(project)), "e").submit(
        ScriptRunConfig(source_directory=str(project), script="t.py")
    )
    with pytest.raises(AmlcoreError, match=r"add it to requirements\.txt, or use environment\.add=\[iniconfig\]"):
        run.wait_for_completion()
    assert yaml.safe_load(Path(run.record.layout.config).read_text())["environment"]["file"] == "requirements.txt"


def test_a_missing_module_ends_with_the_way_out(aml: Aml, write: Write) -> None:
    write("jobs/t.py", "from shop import price\n")
    write("src/shop/__init__.py", "price = 3\n")
    words = ["script=script", "script.source_directory=.", "script.script=jobs/t.py", "environment=current"]

    failed = aml("run", *words, status=1)

    way = "+script.environment_variables.PYTHONPATH=src"
    assert f"exit status 1; {way} lets the script import shop" in failed.err
    assert way in aml("runs", "--json").json[0]["reason"]
    aml("run", *words, way)


LOCK = "scikit-learn==1.7.2 \\\n    --hash=sha256:0\npandas==2.0\n"


@pytest.mark.parametrize(
    ("module", "files", "environment", "expected"),
    [
        ("yaml", {}, {}, "environment=sklearn does not provide yaml; use environment.add=[pyyaml] to add pyyaml"),
        ("my_pkg.a", {}, {}, None),
        ("my_pkg", {}, {}, "use environment.add=[my-pkg] to add my-pkg"),
        ("yaml", {}, {"add": ["six", "joblib<1.6"]}, "environment.add=[six,'joblib<1.6',pyyaml] to add pyyaml"),
        (
            "yaml",
            {},
            {"file": "r.txt"},
            "r.txt does not provide yaml; add it to r.txt, or use environment.add=[pyyaml]",
        ),
        (
            "yaml",
            {},
            {"user_managed_dependencies": True},
            "install pyyaml there, or use environment=auto environment.add",
        ),
        (
            "cv2",
            {"requirements.txt": "opencv-python-headless>4\n"},
            {},
            "requirements.txt lists opencv-python-headless",
        ),
        ("cv2", {"s/environment.yml": "dependencies: [numpy]\n"}, {}, "does not provide cv2"),
        ("six", {"s/environment.yml": CONDA}, {}, "use environment.file=s/environment.yml"),
        ("six", {"pyproject.toml": PYPROJECT}, {}, "use environment.file=pyproject.toml"),
        ("six", {"s/t.py": BLOCK}, {}, "use environment=script"),
        ("six", {"requirements.txt": "-e .\n"}, {}, "environment.add=[six]"),
        ("sklearn.old", {}, {}, "scikit-learn==1.7.2 has no module sklearn.old; try another version with"),
        ("distutils", {}, {}, "use environment.python=3.11"),
        ("lib2to3", {}, {}, "use environment.python=3.12"),
        ("own", {"s/lib/own.py": ""}, {}, "+script.environment_variables.PYTHONPATH=lib lets"),
        ("own", {"s/src/own/a.py": "", "s/pyproject.toml": ""}, {}, "not installed from its pyproject.toml: +script."),
        ("own", {"own.py": ""}, {}, "script.source_directory=. script.script=s/t.py"),
        ("own", {"code/own/__init__.py": ""}, {}, "+script.environment_variables.PYTHONPATH=code"),
        ("azureml", {}, {}, None),
    ],
)
def test_advice_for_a_missing_module(
    module: str, files: dict[str, str], environment: dict[str, Any], expected: str | None, tmp_path: Path
) -> None:
    for path, text in {"s/t.py": "", **files}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    fields = {"name": "sklearn", "file": None, "user_managed_dependencies": False, "add": [], **environment}
    script = {"source_directory": "s", "script": "t.py", "environment_variables": {}}

    said = missing_module_advice(
        module, job={"root": str(tmp_path), "script": script, "environment": fields}, lock=LOCK
    )

    assert said is None if expected is None else said is not None and expected in said
