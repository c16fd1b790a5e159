"""A wrong request is refused before anything starts, and a script that lacked something gets advice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.aml import HERE, Aml, Write, runs


@pytest.mark.parametrize("key", ["environment_variables.VALUE", "arguments.value"])
def test_a_rerun_without_a_variable_that_the_run_refers_to_is_refused(
    key: str, aml: Aml, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("train.py", "print(1)")
    monkeypatch.setenv("SOME_VALUE", "1")
    aml("run", "train.py", HERE, f"+script.{key}=${{oc.env:SOME_VALUE}}")
    monkeypatch.delenv("SOME_VALUE")

    said = aml("rerun", "latest", status=2).err

    assert "the environment variable SOME_VALUE is not set here" in said
    assert len(runs(aml)) == 1


def test_a_sweep_is_not_resumed_without_a_variable_that_it_refers_to(
    aml: Aml, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("train.py", "from amlcore import Run\nRun.get_context().log('a', 1)")
    monkeypatch.setenv("SOME_VALUE", "1")
    variable = "+script.environment_variables.VALUE=${oc.env:SOME_VALUE}"
    aml("run", "-m", "train.py", HERE, "sweep.primary_metric=a", variable, "+script.arguments.x=1,2")
    monkeypatch.delenv("SOME_VALUE")

    assert "the environment variable SOME_VALUE is not set here" in aml("resume", "latest", status=2).err


def test_a_multirun_without_several_values_says_that_it_is_one_run(aml: Aml, write: Write) -> None:
    write("train.py", "print(1)")

    assert "nothing to sweep over, so this is a single run" in aml("run", "-m", "train.py", HERE).err
    assert "nothing to sweep" not in aml("run", "train.py", HERE).err


PACKAGE = {"__init__.py": "", "names.py": "NAME = 'x'\n", "sub/__init__.py": ""}


@pytest.mark.parametrize(
    ("line", "files", "arguments"),
    [
        ("from ..names import NAME", PACKAGE, ("pkg/sub/train.py",)),
        ("from . import __name__", PACKAGE, ("pkg/sub/train.py",)),
        (
            "from ..names import NAME",
            PACKAGE,
            ("script=script", "script.source_directory=pkg", "script.script=sub/train.py"),
        ),
        ("from ..names import NAME", {"names.py": "NAME = 'x'\n"}, ("pkg/sub/train.py",)),
    ],
    ids=["above", "beside", "configured", "no __init__.py"],
)
def test_a_script_with_relative_imports_is_told_to_run_as_a_module(
    line: str, files: dict[str, str], arguments: tuple[str, ...], project: Path, aml: Aml, write: Write
) -> None:
    for name, text in files.items():
        write(f"pkg/{name}", text)
    write("pkg/sub/train.py", f"{line}\nprint('ran')\n")

    said = aml("run", *arguments, HERE, status=1).err

    module = "pkg.sub.train" if ".." in line or "__init__.py" in files else "sub.train"
    assert f"`aml run -M {module}` in {project}" in said
    assert aml("run", "-M", module, HERE).out == "ran\n"


def test_a_relative_import_of_another_module_is_not_blamed_on_the_script(aml: Aml, write: Write) -> None:
    write("pkg/helper.py", "from . import other\n")
    write("pkg/other.py", "")
    write("pkg/train.py", "import helper\n")

    assert "must run as a module" not in aml("run", "pkg/train.py", HERE, status=1).err
